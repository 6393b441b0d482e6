/**
 * A server in this process that does what a test tells it to.
 *
 * @module
 */

import type { Address } from "../../src/address.ts";
import { CommandDecoder } from "../../src/resp/command_decoder.ts";
import { encodeValue } from "../../src/resp/encoder.ts";
import type { RespValue } from "../../src/resp/value.ts";

/** Ends the connection without a reply. */
export const HANG_UP = Symbol("hang up");

/** Gives no reply, and waits for the next command. */
export const NOTHING = Symbol("nothing");

/** What the server does with a command: a value is the reply. */
export type Reaction = RespValue | typeof HANG_UP | typeof NOTHING;

/** Tells what to do with a command, and how many commands have come before it, on all connections. */
type React = (words: readonly string[], before: number) => Reaction | Promise<Reaction>;

/** Listens at a port of its own, speaks RESP2, and does with each command what `react` says. */
export class FakeServer implements Disposable {
  readonly address: Address;
  readonly commands: (readonly string[])[] = [];
  connections = 0;
  /** The most commands that one connection had sent without having the replies. */
  mostUnderWay = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns = new Set<Deno.TcpConn>();
  readonly #react: React;

  constructor(react: React) {
    this.#react = react;
    this.address = { hostname: "127.0.0.1", port: this.#listener.addr.port };
    this.#accept();
  }

  /** A server that does this with the commands in turn, and hangs up after that. */
  static inTurn(...reactions: readonly Reaction[]): FakeServer {
    return new FakeServer((_, before) => {
      const reaction = reactions[before];
      return reaction === undefined ? HANG_UP : reaction;
    });
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) {
      this.connections++;
      this.#conns.add(conn);
      this.#serve(conn).catch(() => {});
    }
  }

  async #serve(conn: Deno.TcpConn): Promise<void> {
    const decoder = new CommandDecoder(1_000_000);
    for (;;) {
      const turn: (readonly string[])[] = [];
      for (let words = decoder.next(); words !== undefined; words = decoder.next()) {
        turn.push(words);
      }
      this.mostUnderWay = Math.max(this.mostUnderWay, turn.length);
      let replies = "";
      for (const words of turn) {
        this.commands.push(words);
        const reaction = await this.#react(words, this.commands.length - 1);
        if (reaction === HANG_UP) return this.#hangUp(conn);
        if (reaction !== NOTHING) replies += encodeValue(reaction as RespValue, 2);
      }
      if (replies !== "") await conn.write(new TextEncoder().encode(replies));
      const count = await conn.read(decoder.space);
      if (count === null) return this.#hangUp(conn);
      decoder.received(count);
    }
  }

  #hangUp(conn: Deno.TcpConn): void {
    this.#conns.delete(conn);
    conn.close();
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.#conns) conn.close();
  }
}
