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
