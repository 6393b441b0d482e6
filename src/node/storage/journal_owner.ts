/**
 * The owner of a journal: how a process finds out whether another process uses the journal.
 *
 * A process that may use nothing but the network cannot lock a file. So the owner of a journal
 * listens at a port of the loopback interface, sends its random name to every process that
 * connects, and writes name and port into the journal. A process that opens the journal asks there:
 * if nobody listens there or another name comes, the owner is dead. If it only seemed dead (in another
 * container), nothing is lost: every commit of an owner depends on its record being in place, so a
 * process that was taken for dead fails at its next commit. If the port takes the connection and
 * nothing comes, the owner may only be stopped: what it does when it goes on is in `owner_watch.ts`.
 *
 * @module
 */

import {
  acceptAll,
  closeQuietly,
  connect,
  listen,
  type Listener,
  type Socket,
  writeAll,
} from "../../socket.ts";
import { deadline } from "@std/async/deadline";

/** The address at which an owner answers. */
export interface JournalOwner {
  /** Random name, new at every start. */
  readonly instance: string;
  readonly hostname: string;
  readonly port: number;
}

const HOSTNAME = "127.0.0.1";

/** How long an owner may take to answer. A dead one's port refuses at once. */
const ANSWER_MS_MAX = 1000;

/** Answers that this process is alive. */
export class OwnerBeacon {
  readonly owner: JournalOwner;
  readonly #listener: Listener;

  constructor() {
    this.#listener = listen({ hostname: HOSTNAME, port: 0 });
    // The beacon does not keep the process alive.
    this.#listener.unref();
    const { port } = this.#listener;
    this.owner = { instance: crypto.randomUUID(), hostname: HOSTNAME, port };
    this.#answerAll();
  }

  close(): void {
    closeQuietly(this.#listener);
  }

  #answerAll(): void {
    const answer = new TextEncoder().encode(`${this.owner.instance}\n`);
    acceptAll(this.#listener, {
      onSocket: (socket) => {
        writeAll(socket, answer).catch(() => {}).finally(() => closeQuietly(socket));
      },
    });
  }
}

/** What is known of an owner. `silent`: it neither answers, nor has its port been given up. */
export type OwnerState = "alive" | "dead" | "silent";

/** Asks whether the process `owner` is alive. */
export async function askOwner(owner: JournalOwner): Promise<OwnerState> {
  const { hostname, port, instance } = owner;
  let socket: Socket | undefined;
  try {
    socket = await connect({ hostname, port }, ANSWER_MS_MAX);
    const answer = await deadline(readText(socket, instance.length), ANSWER_MS_MAX);
    if (answer === instance) return "alive";
    return answer === "" ? "silent" : "dead";
  } catch (error) {
    return isGivenUp(error) ? "dead" : "silent";
  } finally {
    if (socket !== undefined) closeQuietly(socket);
  }
}

/**
 * Tells whether nobody listens at the port any more: the system refuses a connection then, and resets one
 * that had waited to be accepted.
 */
function isGivenUp(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.ConnectionReset;
}

/** Reads `length` characters, or fewer if the stream ends. */
async function readText(socket: Socket, length: number): Promise<string> {
  const bytes = new Uint8Array(length);
  let count = 0;
  while (count < length) {
    const read = await socket.read(bytes.subarray(count));
    if (read === null) break;
    count += read;
  }
  return new TextDecoder().decode(bytes.subarray(0, count));
}
