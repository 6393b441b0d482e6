/**
 * A connection that keeps replies as the bytes that came, to compare two servers by them.
 *
 * @module
 */

import { type ByteString, fromBytes, toBytes } from "../../src/byte_string.ts";
import { encodeCommand } from "../../src/resp/encoder.ts";

/** A connection to a server of the Redis protocol. */
export class RawConnection {
  readonly #conn: Deno.TcpConn;
  #held: ByteString = "";

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  static async open(port: number): Promise<RawConnection> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay(true);
    return new RawConnection(conn);
  }

  /** Sends all commands at once. Returns their replies, each as its bytes. */
  async callAll(commands: readonly (readonly ByteString[])[]): Promise<ByteString[]> {
    const sent = this.#write(toBytes(commands.map(encodeCommand).join("")));
    const replies: ByteString[] = [];
    const buffer = new Uint8Array(256 * 1024);
    while (replies.length < commands.length) {
      const end = endOfReply(this.#held, 0);
      if (end !== undefined) {
        replies.push(this.#held.slice(0, end));
        this.#held = this.#held.slice(end);
        continue;
      }
      const count = await this.#conn.read(buffer);
      if (count === null) {
        throw new Error(`the connection ended after ${replies.length} of ${commands.length}`);
      }
      this.#held += fromBytes(buffer.subarray(0, count));
    }
    await sent;
    return replies;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  close(): void {
    this.#conn.close();
  }
}

/** Returns where the reply that begins at `at` ends; `undefined` while it is incomplete. */
export function endOfReply(bytes: ByteString, at: number): number | undefined {
  const lineEnd = bytes.indexOf("\r\n", at);
  if (lineEnd < 0) return undefined;
  const kind = bytes[at] ?? "";
  const rest = lineEnd + 2;
  const length = Number(bytes.slice(at + 1, lineEnd));
  if ("$=!".includes(kind)) {
    if (length < 0) return rest;
    const end = rest + length + 2;
    return end <= bytes.length ? end : undefined;
  }
  if (!"*~>%|".includes(kind)) return rest;
  let end: number | undefined = rest;
  const items = kind === "%" || kind === "|" ? 2 * length : length;
  for (let i = 0; i < items && end !== undefined; i++) end = endOfReply(bytes, end);
  return end;
}
