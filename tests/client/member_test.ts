/** `dks client member`, against servers that answer as they are told. */

import { assertEquals } from "@std/assert";
import type { Address } from "../../src/address.ts";
import { member } from "../../src/client/member.ts";
import type { MemberList } from "../../src/cluster_status.ts";
import { CommandDecoder } from "../../src/resp/command_decoder.ts";
import { encodeValue } from "../../src/resp/encoder.ts";
import { ErrorReply, type RespValue } from "../../src/resp/value.ts";

/** A node of which only DKS.MEMBER works. */
class FakeNode implements Disposable {
  readonly address: Address;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns = new Set<Deno.TcpConn>();
  readonly #answer: (subcommand: string) => RespValue;

  constructor(answer: (subcommand: string) => RespValue) {
    this.#answer = answer;
    this.address = { hostname: "127.0.0.1", port: this.#listener.addr.port };
    this.#accept();
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) {
      this.#conns.add(conn);
      this.#serve(conn).catch(() => {});
    }
  }

  async #serve(conn: Deno.TcpConn): Promise<void> {
    const decoder = new CommandDecoder(1000);
    for (;;) {
      const words = decoder.next();
      if (words === undefined) {
        const count = await conn.read(decoder.space);
        if (count === null) return;
        decoder.received(count);
        continue;
      }
      const [name, subcommand = ""] = words;
      const reply = name === "DKS.MEMBER" ? this.#answer(subcommand) : new ErrorReply("ERR", "no");
      await conn.write(new TextEncoder().encode(encodeValue(reply, 2)));
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.#conns) conn.close();
  }
}

function list(view: number, { isLearner }: { isLearner: boolean }): string {
  const row = { isSelf: false, role: "outside", replaces: null, chunks: null, keys: null } as const;
  const told: MemberList = {
    view,
    listChange: null,
    notListed: null,
    nodes: [{ ...row, address: "n4:1", isLearner }],
  };
  return JSON.stringify(told);
}

Deno.test("member add believes no list of an earlier view, and asks another node then", async () => {
  // The first one starts again meanwhile: it knows of no view, and so of no learner.
  let isStarting = false;
  using first = new FakeNode((subcommand) => {
    if (subcommand !== "ADD") return list(isStarting ? 0 : 7, { isLearner: !isStarting });
    isStarting = true;
    return 7;
  });
  let questions = 0;
  using second = new FakeNode(() => list(++questions < 3 ? 7 : 8, { isLearner: questions < 3 }));
  const written: string[] = [];
  const code = await member(["add", "n4:1"], {
    addresses: [first.address, second.address],
    timeoutMs: 5000,
    credentials: undefined,
    tls: undefined,
    output: {
      write: (text) => {
        written.push(String(text));
        return Promise.resolve();
      },
      note: () => Promise.resolve(),
      isTerminal: false,
    },
  });
  assertEquals([code, written, questions], [0, ["view 8: n4:1 counts\n"], 3]);
});
