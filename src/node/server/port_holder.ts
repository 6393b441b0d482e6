/**
 * Who has the port that this node was to listen at: most likely a node that was started before.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import type { Address } from "../../address.ts";
import { encodeCommand } from "../../resp/encoder.ts";
import { closeQuietly, connect, type Socket, writeAll } from "../../socket.ts";

/** How long the other process may take to connect, and then to answer, in milliseconds. */
const ANSWER_MS = 500;

/** What is read of an answer. */
const ANSWER_BYTES_MAX = 4096;

/** What a system reaches at an address that stands for all of its own. */
const ANY: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/**
 * Asks the process that listens at `address` who it is.
 *
 * @returns what is to be said behind "the port is in use"; nothing if it is no dks node, or is silent.
 */
export async function describeHolder(address: Address): Promise<string> {
  const { hostname, port } = address;
  let socket: Socket | undefined;
  try {
    socket = await connect({ hostname: ANY[hostname] ?? hostname, port }, ANSWER_MS);
    const command = new TextEncoder().encode(encodeCommand(["INFO", "server"]));
    await writeAll(socket, command);
    const answer = await deadline(readAnswer(socket), ANSWER_MS);
    const process = /^process_id:(\d+)/m.exec(answer)?.[1];
    if (process !== undefined && /^dks_version:/m.test(answer)) {
      return `: a dks node has it, process ${process}`;
    }
    return answer.startsWith("-LOADING REJECTED this node")
      ? ": a dks node has it that is starting"
      : "";
  } catch {
    return ""; // Whoever it is, it has the port.
  } finally {
    if (socket !== undefined) closeQuietly(socket);
  }
}

/** Reads until there is a whole answer, or what cannot be one. */
async function readAnswer(socket: Socket): Promise<string> {
  const bytes = new Uint8Array(ANSWER_BYTES_MAX);
  let length = 0;
  while (length < bytes.length) {
    const count = await socket.read(bytes.subarray(length));
    if (count === null) break;
    length += count;
    const text = new TextDecoder().decode(bytes.subarray(0, length));
    if (/^process_id:\d+\r\n/m.test(text) || /^[-+][^\n]*\n/.test(text)) return text;
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}
