/**
 * A client's session with a node that does nothing, for tests of commands.
 *
 * @module
 */

import type { Session } from "../../../src/node/commands/commands.ts";

/** Returns a session with a node that allows keys of 10 and values of 20 bytes. */
export function session(): Session {
  return {
    id: 7,
    name: "",
    version: 2,
    isClosing: false,
    node: {
      keyBytesMax: 10,
      valueBytesMax: 20,
      info: (sections) => `info ${sections.join()}`,
      status: () => "{}",
      nowMs: () => 1234.5,
      beginExport: () => Promise.resolve(["id", 2]),
      nextOfExport: (id) => Promise.resolve([`key of ${id}`, "value"]),
      outcome: () => Promise.resolve("committed"),
    },
  };
}
