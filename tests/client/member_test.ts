/** `dks client member`, against servers that answer as they are told. */

import { assertEquals } from "@std/assert";
import { member } from "../../src/client/member.ts";
import type { MemberList } from "../../src/cluster_status.ts";
import { ErrorReply, type RespValue } from "../../src/resp/value.ts";
import { FakeServer } from "../harness/fake_server.ts";

/** A node of which only DKS.MEMBER works: `answer` is told the subcommand. */
function fakeNode(answer: (subcommand: string) => RespValue): FakeServer {
  return new FakeServer(([name, subcommand = ""]) =>
    name === "DKS.MEMBER" ? answer(subcommand) : new ErrorReply("ERR", "no")
  );
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

/** Runs `member` against these nodes. Returns the exit code, and what was written. */
async function run(
  words: readonly string[],
  nodes: readonly FakeServer[],
): Promise<{ code: number; written: readonly string[] }> {
  const written: string[] = [];
  const code = await member(words, {
    addresses: nodes.map(({ address }) => address),
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
  return { code, written };
}

Deno.test("member add believes no list of an earlier view, and asks another node then", async () => {
  // The first one starts again meanwhile: it knows of no view, and so of no learner.
  let isStarting = false;
  using first = fakeNode((subcommand) => {
    if (subcommand !== "ADD") return list(isStarting ? 0 : 7, { isLearner: !isStarting });
    isStarting = true;
    return 7;
  });
  let questions = 0;
  using second = fakeNode(() => list(++questions < 3 ? 7 : 8, { isLearner: questions < 3 }));
  const { code, written } = await run(["add", "n4:1"], [first, second]);
  assertEquals([code, written, questions], [0, ["view 8: n4:1 counts\n"], 3]);
});

Deno.test("member add waits while no node has room for it to ask", async () => {
  const full = new ErrorReply("ERR", "max number of clients reached");
  let questions = 0;
  using node = fakeNode((subcommand) => {
    if (subcommand === "ADD") return 7;
    return ++questions < 3 ? full : list(8, { isLearner: false });
  });
  const { code, written } = await run(["add", "n4:1"], [node]);
  assertEquals([code, written, questions], [0, ["view 8: n4:1 counts\n"], 3]);
});
