/**
 * Who uses a journal: how a process finds out whether another one does.
 *
 * A process that may use nothing but the network cannot lock a file. So the owner of a journal
 * listens at a port of the loopback interface, tells everyone who connects its random name, and
 * writes name and port into the journal. Who opens the journal asks there: no answer, or another
 * name, and the owner is dead. Where it only seemed so (stopped by a debugger, or in a container of
 * its own), nothing is lost either: every commit of an owner depends on its record being in place, so
 * a process that was taken for dead fails at its next commit.
 *
 * @module
 */

import {
  closeQuietly,
  connect,
  listen,
  type Listener,
  type Socket,
  writeAll,
} from "../../socket.ts";
import { deadline } from "@std/async/deadline";

/** Where an owner answers. */
export interface JournalOwner {
  /** Random name, new at every start. */
  readonly instance: string;
  readonly hostname: string;
  readonly port: number;
}

const HOSTNAME = "127.0.0.1";

/** How long an owner may take to answer. A dead one's port refuses at once. */
const ANSWER_MS_MAX = 1000;

/** Tells everyone who asks that this process lives. */
export class OwnerBeacon {
  readonly owner: JournalOwner;
  readonly #listener: Listener;

  constructor() {
    this.#listener = listen({ hostname: HOSTNAME, port: 0 });
    // The beacon shines as long as the process has other things to do.
    this.#listener.unref();
    const { port } = this.#listener;
    this.owner = { instance: crypto.randomUUID(), hostname: HOSTNAME, port };
    this.#answerAll();
  }

  close(): void {
    closeQuietly(this.#listener);
  }

  async #answerAll(): Promise<void> {
    const answer = new TextEncoder().encode(`${this.owner.instance}\n`);
    for (;;) {
      try {
        const socket = await this.#listener.accept();
        writeAll(socket, answer).catch(() => {}).finally(() => closeQuietly(socket));
      } catch {
        return; // Closed, most likely; without an answer the checks of the commits still hold.
      }
    }
  }
}

/** Tells whether the process that was `owner` lives. */
export async function isOwnerAlive(owner: JournalOwner): Promise<boolean> {
  const { hostname, port, instance } = owner;
  let socket: Socket | undefined;
  try {
    socket = await connect({ hostname, port }, ANSWER_MS_MAX);
    return await deadline(readText(socket, instance.length), ANSWER_MS_MAX) === instance;
  } catch {
    return false;
  } finally {
    if (socket !== undefined) closeQuietly(socket);
  }
}

/** Reads `length` characters, or what comes before the end. */
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
