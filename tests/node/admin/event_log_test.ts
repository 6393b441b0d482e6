/** What the log says of views. */

import type { Logger } from "@std/log";
import { assertEquals } from "@std/assert";
import { EventLog } from "../../../src/node/admin/event_log.ts";
import { ballotOf, type View } from "../../../src/two_phase/messages.ts";

const BEFORE: View = {
  number: 3,
  cluster: { id: "c" },
  ballot: ballotOf(1, 0),
  names: ["n1:5000", "n2:5000", "n3:5000"],
  members: 0b111,
  journals: ["a", "b", "c"],
  commits: [],
  bases: [0, 0, 0],
};
const WITHOUT: View = { ...BEFORE, number: 4, members: 0b011 };

/** Returns what the node with this id logs when it installs `view`. */
function lineOf(view: View, { self, isStopping = false }: { self: number; isStopping?: boolean }) {
  const lines: string[] = [];
  const logger: Partial<Logger> = {
    info: (line: unknown) => {
      lines.push(String(line));
      return String(line);
    },
  };
  const log = new EventLog({
    logger: logger as Logger,
    place: "nowhere",
    peers: { names: BEFORE.names, list: BEFORE.names, self },
    isStopping: () => isStopping,
  });
  log.log({ type: "viewInstalled", view, before: BEFORE });
  return lines.join("\n");
}

Deno.test("EventLog says of a view without the node what the node does", () => {
  const line = "view 4 with n1:5000, n2:5000; without n3:5000";
  assertEquals(lineOf(WITHOUT, { self: 0 }), line);
  assertEquals(lineOf(WITHOUT, { self: 2 }), `${line}: this node is outside, and joins again`);
  assertEquals(
    lineOf(WITHOUT, { self: 2, isStopping: true }),
    `${line}: this node is outside, as it stops`,
  );
  const removed = { ...WITHOUT, names: ["n1:5000", "n2:5000", ""] };
  assertEquals(lineOf(removed, { self: 2 }), "view 4 with n1:5000, n2:5000");
});
