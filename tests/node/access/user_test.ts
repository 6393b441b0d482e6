/** Users and their rules. */

import { assert, assertEquals } from "@std/assert";
import { Permissions } from "../../../src/node/access/permissions.ts";
import {
  allowedCommands,
  formatUsers,
  hashOf,
  lineOfUser,
  linesOfUsers,
  newUser,
  OPEN_DEFAULT,
  parseUsers,
  type User,
  withRule,
} from "../../../src/node/access/user.ts";
import { COMMANDS } from "../../../src/node/commands/table.ts";

/** Returns the user that rules make of a new one. */
function userOf(rules: string, user: User = newUser("u")): User {
  for (const rule of rules.split(" ")) {
    const next = withRule(user, rule);
    assert(typeof next !== "string", `${rule}: ${next}`);
    user = next;
  }
  return user;
}

const [P, Q] = [hashOf("p"), hashOf("q")];

Deno.test("withRule() makes of each rule what Redis makes of it", () => {
  const table: readonly [rules: string, line: string][] = [
    ["on", "user u on resetchannels -@all"],
    ["ON off", "user u off resetchannels -@all"],
    [">p >q >p", `user u off #${P} #${Q} resetchannels -@all`],
    [`#${P}`, `user u off #${P} resetchannels -@all`],
    [">p >q <p", `user u off #${Q} resetchannels -@all`],
    [`>p >q !${Q}`, `user u off #${P} resetchannels -@all`],
    [">p nopass", "user u off nopass resetchannels -@all"],
    ["nopass >p", `user u off #${P} resetchannels -@all`],
    ["nopass resetpass", "user u off resetchannels -@all"],
    [">p resetpass", "user u off resetchannels -@all"],
    ["~a* ~b ~a*", "user u off ~a* ~b resetchannels -@all"],
    ["%R~a %w~b %RW~c %wr~d", "user u off %R~a %W~b ~c ~d resetchannels -@all"],
    ["%R~a %W~a", "user u off ~a resetchannels -@all"],
    ["~a allkeys", "user u off ~* resetchannels -@all"],
    ["~* resetkeys ~b", "user u off ~b resetchannels -@all"],
    ["&a &b* &a", "user u off resetchannels &a &b* -@all"],
    ["allchannels", "user u off &* -@all"],
    ["&* resetchannels &c", "user u off resetchannels &c -@all"],
    ["+get +set", "user u off resetchannels -@all +get +set"],
    ["+@all -GET", "user u off resetchannels +@all -get"],
    ["+get -get", "user u off resetchannels -@all -get"],
    ["+@read -@dangerous", "user u off resetchannels -@all +@read -@dangerous"],
    ["+get allcommands", "user u off resetchannels +@all"],
    ["+get nocommands", "user u off resetchannels -@all"],
    ["+client|id +client|list -client", "user u off resetchannels -@all -client"],
    ["+client -client|kill", "user u off resetchannels -@all +client -client|kill"],
    ["on >p ~a &b +get reset", "user u off sanitize-payload resetchannels -@all"],
    ["skip-sanitize-payload", "user u off skip-sanitize-payload resetchannels -@all"],
  ];
  for (const [rules, line] of table) assertEquals(lineOfUser(userOf(rules)), line, rules);
  assertEquals(lineOfUser(OPEN_DEFAULT), "user default on nopass ~* &* +@all");
});

Deno.test("withRule() says why a rule is none, in Redis's words", () => {
  const keys =
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does " +
    "not have any effect. Try 'resetkeys' to start with an empty list of patterns";
  const channels =
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid " +
    "and does not have any effect. Try 'resetchannels' to start with an empty list of channels";
  const unknown = "Unknown command or category name in ACL";
  const hash = "The password hash must be exactly 64 characters and contain only lowercase " +
    "hexadecimal characters";
  const none = "The password you are trying to remove from the user does not exist";
  const all = userOf("~* &*");
  const table: readonly [rule: string, reason: string][] = [
    ["foo", "Syntax error"],
    ["", "Syntax error"],
    ["(+get)", "Syntax error"],
    ["%X~a", "Syntax error"],
    ["%~a", "Syntax error"],
    ["%R", "Syntax error"],
    ["~a b", "Syntax error"],
    ["&a\0b", "Syntax error"],
    ["+nope", unknown],
    ["-nope", unknown],
    ["+@nope", unknown],
    ["+", unknown],
    ["+client|nope", unknown],
    ["#abc", hash],
    [`#${P.toUpperCase()}`, hash],
    ["!abc", hash],
    ["<p", none],
    [`!${P}`, none],
  ];
  for (const [rule, reason] of table) assertEquals(withRule(newUser("u"), rule), reason, rule);
  for (const rule of ["~b", "%R~b"]) assertEquals(withRule(all, rule), keys);
  assertEquals(withRule(all, "&b"), channels);
});

Deno.test("parseUsers() reads the lines that formatUsers() writes, and leaves out what it does not know", () => {
  const users = new Map([userOf("on >p ~a* %R~b &c +@read -get"), userOf("off", newUser("a", 17))]
    .map((user) => [user.name, user] as const));
  const lines = formatUsers(users);
  assertEquals(lines.split("\n").map((line) => line.split(" ")[1]), ["a", "u"]);
  assertEquals(lines.split("\n")[0], "user a off resetchannels -@all =17");
  assertEquals(parseUsers(lines), users);
  assertEquals(linesOfUsers(users)[0], "user a off resetchannels -@all");
  const later = parseUsers("user u on ~a new-rule +newcommand +get\nnonsense\n");
  const user = later.get("u");
  assert(user !== undefined);
  assertEquals(lineOfUser(user), "user u on ~a resetchannels -@all +newcommand +get");
  assertEquals([later.size, parseUsers("").size], [1, 0]);
});

Deno.test("allowedCommands() lets later rules win, of categories and of subcommands", () => {
  const allowed = (rules: string, name: string) => {
    const index = COMMANDS.byIndex.find((one) => one.name === name)?.index ?? -1;
    return allowedCommands(userOf(rules))[index];
  };
  const table: readonly [rules: string, name: string, isAllowed: boolean][] = [
    ["+@read", "get", true],
    ["+@read", "set", false],
    ["+@all -@dangerous", "flushall", false],
    ["+@all -@dangerous", "dks.status", false],
    ["+@all -@dangerous", "get", true],
    ["-@dangerous +@all", "flushall", true],
    ["+client", "client|kill", true],
    ["+client -client|kill", "client|kill", false],
    ["+client -client|kill", "client|id", true],
    ["+client|id", "client|id", true],
    ["+client|id", "client|kill", false],
    ["+@connection", "client|id", true],
    ["+@all -client", "client|id", false],
    ["+@dangerous -@admin", "info", true],
    ["+@dangerous -@admin", "acl|setuser", false],
  ];
  for (const [rules, name, isAllowed] of table) {
    assertEquals(allowed(rules, name), isAllowed, `${rules}: ${name}`);
  }
});

Deno.test("Permissions.denial() names what is lacking: a command, a key or a channel", () => {
  const table: readonly [rules: string, words: string, reason: string | undefined][] = [
    ["+@all ~*", "SET a b", undefined],
    ["+get ~*", "SET a b", "command set"],
    ["+@all -client|kill", "CLIENT KILL x", "command client|kill"],
    ["-@all", "AUTH x", undefined],
    ["-@all", "QUIT", undefined],
    ["+@all ~a*", "MGET a ab b", "key b"],
    ["+@all ~a*", "PING", undefined],
    ["+@all", "KEYS *", undefined],
    ["+@all", "SCAN 0", undefined],
    ["+@all", "FLUSHALL", undefined],
    ["+@all ~a*", "DKS.EXPORT", "key *"],
    ["+@all ~*", "DKS.EXPORT", undefined],
    ["+@all %R~r %W~w", "GET r", undefined],
    ["+@all %R~r %W~w", "GET w", "key w"],
    ["+@all %R~r %W~w", "SET w x", undefined],
    ["+@all %R~r %W~w", "SET w x GET", "key w"],
    ["+@all %R~r %W~w", "SET w x IFEQ y", "key w"],
    ["+@all %R~r %W~w", "PUT w x", undefined],
    ["+@all %R~r %W~w", "PUT w x GET", "key w"],
    ["+@all %R~r %W~w", "SET r x", "key r"],
    ["+@all %R~r %W~w", "GETSET w x", "key w"],
    ["+@all %R~r %W~w", "INCR w", "key w"],
    ["+@all %R~r %W~w", "APPEND w x", undefined],
    ["+@all %R~r %W~w", "DEL w r", "key r"],
    ["+@all %R~r %W~w", "EXISTS r w", undefined],
    ["+@all %R~r %W~w", "EXISTS x", "key x"],
    ["+@all %R~r %W~w", "STRLEN w", undefined],
    ["+@all %R~r %W~w", "TTL w", "key w"],
    ["+@all %R~r %W~w", "COPY r w", undefined],
    ["+@all %R~r %W~w", "COPY w r", "key w"],
    ["+@all %R~r %W~w", "RENAME r w", "key r"],
    ["+@all %R~r %W~w", "BITOP NOT w r", undefined],
    ["+@all %R~r %W~w", "BITOP NOT r w", "key r"],
    ["+@all %R~r %W~w", "BITFIELD r GET u8 0", undefined],
    ["+@all %R~r %W~w", "BITFIELD r SET u8 0 1", "key r"],
    ["+@all %R~r %W~w", "OBJECT ENCODING w", undefined],
    ["+@all %R~r %W~w", "MSETEX 1 w x", undefined],
    ["+@all %R~r %W~w", "DELIFEQ w x", "key w"],
    ["+@all %R~r %W~w", "DELEX w", undefined],
    ["+@all %R~r %W~w", "DELEX w IFEQ x", "key w"],
    ["+@all %R~r %W~w", "DKS.GETV r", undefined],
    ["+@all %R~r %W~w", "DKS.CAS w 0 x", "key w"],
    ["+@all %R~r %W~w", "DKS.IMPORT w x 1 r x 1", "key r"],
    ["+@all", "PUBLISH c x", "channel c"],
    ["+@all &c*", "PUBLISH cc c", undefined],
    ["+@all &c*", "SUBSCRIBE c ca d", "channel d"],
    ["+@all &c*", "SSUBSCRIBE d", "channel d"],
    ["+@all &c*", "SPUBLISH d x", "channel d"],
    ["+@all &c*", "PSUBSCRIBE c*", undefined],
    ["+@all &c*", "PSUBSCRIBE ca", "channel ca"],
    ["+@all &*", "PSUBSCRIBE x", undefined],
    ["+@all", "UNSUBSCRIBE d", undefined],
  ];
  for (const [rules, line, reason] of table) {
    const words = line.split(" ");
    const command = COMMANDS.find(words);
    assert(command !== undefined, line);
    const denial = new Permissions(userOf(rules)).denial(command, words);
    const said = denial === undefined ? undefined : `${denial.reason} ${denial.object}`;
    assertEquals(said, reason, `${rules}: ${line}`);
  }
});

Deno.test("Permissions.isAll holds for those who lack nothing, and for nobody else", () => {
  const isAll = (rules: string) => new Permissions(userOf(rules)).isAll;
  assert(isAll("~* &* +@all"));
  assert(isAll("~* &* +@all -get +get"));
  for (const rules of ["&* +@all ~a", "~* +@all", "~* &* +@all -get", "~* &* +@read"]) {
    assert(!isAll(rules), rules);
  }
});
