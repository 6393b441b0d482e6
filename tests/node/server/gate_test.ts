/** The gate: what no command gets past, and in which order. */

import { assert, assertEquals } from "@std/assert";
import { KEYS_PER_COMMAND_MAX } from "../../../src/limits.ts";
import { admit } from "../../../src/node/server/gate.ts";
import { ErrorReply } from "../../../src/resp/value.ts";
import { session } from "../commands/session.ts";

function said(words: readonly string[]): string {
  const command = admit(words, session());
  return command instanceof ErrorReply ? command.message : command.name;
}

const LONG = "k".repeat(11);

Deno.test("admit() looks at the name, then the number of words, then keys and values", () => {
  const rows: [words: string[], said: string][] = [
    [["GET", "a"], "get"],
    [["client", "id"], "client|id"],
    [["nope", LONG], `unknown command 'nope', with args beginning with: '${LONG}' `],
    [["client"], "wrong number of arguments for 'client' command"],
    [["client", "nope", LONG], "unknown subcommand 'nope'. Try CLIENT HELP."],
    [["client", "setname"], "wrong number of arguments for 'client|setname' command"],
    [["get", LONG, LONG], "wrong number of arguments for 'get' command"],
    [["get", LONG], "key of 11 bytes, at most 10 are allowed"],
    [["set", "a", "v".repeat(21)], "value of 21 bytes, at most 20 are allowed"],
    [["set", "\0dks:", "v"], 'keys that begin with "\\x00dks:" are reserved for dks'],
  ];
  for (const [words, expected] of rows) assertEquals(said(words), expected, words.join(" "));
  const many = Array.from({ length: KEYS_PER_COMMAND_MAX + 1 }, () => "k");
  assertEquals(said(["del", ...many]), `more than ${KEYS_PER_COMMAND_MAX} keys in one command`);
});

Deno.test("admit() has the command inside another one pass the same way", () => {
  assertEquals(said(["dks.once", "t", "set", "a", "1"]), "dks.once");
  assertEquals(
    said(["dks.once", "t", "set", LONG, "1"]),
    "key of 11 bytes, at most 10 are allowed",
  );
  assertEquals(
    said(["dks.once", "t", "dks.once", "u", "get", LONG]),
    "key of 11 bytes, at most 10 are allowed",
  );
  assertEquals(
    said(["dks.once", "t", "nope", "a"]),
    "unknown command 'nope', with args beginning with: 'a' ",
  );
  // What is run is told to MONITOR: these have passwords.
  for (const words of ["auth x", "hello 3 auth a x", "acl setuser a >x", "dks.once u auth x"]) {
    const name = words.split(" ")[words.startsWith("dks.once") ? 2 : 0];
    assertEquals(
      said(["dks.once", "t", ...words.split(" ")]),
      `DKS.ONCE takes a command that writes, not "${name}"`,
    );
  }
});

Deno.test("what admit() lets in can be run", () => {
  const command = admit(["ping"], session());
  assert(!(command instanceof ErrorReply));
  assertEquals("reply" in command.run(["ping", "x"], session()), true);
});
