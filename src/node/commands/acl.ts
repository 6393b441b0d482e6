/**
 * ACL: the users, and what each may do. What they are and who decides is in `node/access/`.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { ErrorReply, OK, type RespValue } from "../../resp/value.ts";
import { error, errorRepeating, integerOf, reply, REPLY_OK, tooManyWords } from "./arguments.ts";
import {
  CATEGORIES,
  categoriesOf,
  type CommandFlag,
  type CommandResult,
  type CommandRow,
  type CommandTable,
  NO_KEYS,
  type Session,
} from "./command.ts";
import { withHelp } from "./help.ts";
import { parseInteger, toPlace } from "./integers.ts";

/** ACL LOG without a count. */
const LOG_ENTRIES = 10;

/** How long a password of ACL GENPASS is, in bits: if nothing is said, and at the most. */
const PASSWORD_BITS = 256;
const PASSWORD_BITS_MAX = 4096n;

function cat(table: CommandTable, words: readonly ByteString[]): CommandResult {
  const [, , name, ...more] = words;
  if (more.length > 0) return { reply: tooManyWords(words) };
  if (name === undefined) return reply(CATEGORIES);
  const category = name.toLowerCase();
  if (!CATEGORIES.includes(category)) {
    return { reply: errorRepeating(`Unknown category '${name}'`) };
  }
  const commands = table.byIndex.filter((one) => categoriesOf(one).includes(`@${category}`));
  return reply(commands.map((one) => one.name));
}

/** ACL LOG [count | RESET] */
function log(words: readonly ByteString[], { node }: Session): CommandResult {
  const [, , word, ...more] = words;
  if (more.length > 0) return { reply: tooManyWords(words) };
  if (word?.toLowerCase() === "reset") {
    node.access.resetLog();
    return REPLY_OK;
  }
  const count = word === undefined ? BigInt(LOG_ENTRIES) : integerOf(word);
  if (count instanceof ErrorReply) return { reply: count };
  return reply(node.access.log(count < 0n ? 0 : toPlace(count)));
}

function genpass(words: readonly ByteString[], { node }: Session): CommandResult {
  const [, , word, ...more] = words;
  if (more.length > 0) return { reply: tooManyWords(words) };
  const bits = word === undefined ? BigInt(PASSWORD_BITS) : parseInteger(word);
  if (bits === undefined) return error("value is not an integer or out of range");
  if (bits <= 0n || bits > PASSWORD_BITS_MAX) {
    return error(
      "ACL GENPASS argument must be the number of bits for the output password, a positive number " +
        `up to ${PASSWORD_BITS_MAX}`,
    );
  }
  return reply(node.access.randomHex(Number(bits)));
}

/** As a Redis that was started without a file of users. */
function noFile(): CommandResult {
  return error(
    "This Redis instance is not configured to use an ACL file. You may want to specify users via " +
      "the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis " +
      "configuration file set) in order to store users in the Redis configuration.",
  );
}

/** AUTH [username] password */
export function auth(words: readonly ByteString[], session: Session): CommandResult {
  const [command = "", first = "", second, ...more] = words;
  if (more.length > 0) return error("syntax error");
  const by = second === undefined
    ? { name: undefined, password: first, command }
    : { name: first, password: second, command };
  return reply(session.node.access.authenticate(session, by) ?? OK);
}

const ALWAYS: readonly CommandFlag[] = ["noscript", "loading", "stale"];

/** What all of these have. */
const ROW = {
  group: "server",
  categories: [],
  keys: NO_KEYS,
  flags: ["admin", ...ALWAYS],
  since: "6.0.0",
} as const satisfies Partial<CommandRow>;

function rows(table: CommandTable): readonly CommandRow[] {
  return [
    {
      ...ROW,
      name: "acl|cat",
      arity: -2,
      flags: ALWAYS,
      summary: "Returns the categories of commands, or the commands of one",
      syntax: "[categoryname]",
      run: (words) => cat(table, words),
    },
    {
      ...ROW,
      name: "acl|deluser",
      arity: -3,
      waits: "write",
      summary: "Deletes users at all nodes, and closes their connections",
      syntax: "username [username ...]",
      run: ([, , ...names], { node }) => node.access.deleteUsers(names),
    },
    {
      ...ROW,
      name: "acl|dryrun",
      arity: -4,
      summary: "Tells whether a user may run a command, without running it",
      syntax: "username command [arg [arg ...]]",
      since: "7.0.0",
      run: ([, , name = "", ...words], { node }) => reply(node.access.dryRun(name, words)),
    },
    {
      ...ROW,
      name: "acl|genpass",
      arity: -2,
      flags: ALWAYS,
      summary: "Returns a password that nobody can guess, in hexadecimal",
      syntax: "[bits]",
      run: genpass,
    },
    {
      ...ROW,
      name: "acl|getuser",
      arity: 3,
      summary: "Returns the rules of a user",
      syntax: "username",
      differs: "rules of commands stand in the order in which they were given, as since 7.2",
      run: ([, , name = ""], { node }) => reply(node.access.describe(name)),
    },
    {
      ...ROW,
      name: "acl|list",
      arity: 2,
      summary: "Returns the rules of all users",
      syntax: "",
      run: (_words, { node }) => reply(node.access.lines()),
    },
    {
      ...ROW,
      name: "acl|load",
      arity: 2,
      summary: "Says that there is no file of users",
      syntax: "",
      run: noFile,
    },
    {
      ...ROW,
      name: "acl|log",
      arity: -2,
      summary: "Returns what this node has refused last, or forgets it",
      syntax: "[count | RESET]",
      differs: "of this node",
      run: log,
    },
    {
      ...ROW,
      name: "acl|save",
      arity: 2,
      summary: "Says that there is no file of users",
      syntax: "",
      run: noFile,
    },
    {
      ...ROW,
      name: "acl|setuser",
      arity: -3,
      waits: "write",
      summary: "Adds a user at all nodes, or changes one",
      syntax: "username [rule [rule ...]]",
      differs: "no selectors (`(…)`), and no first arguments (`+select|0`)",
      run: ([, , name = "", ...rules], { node }) => node.access.setUser(name, rules),
    },
    {
      ...ROW,
      name: "acl|users",
      arity: 2,
      summary: "Returns the names of all users",
      syntax: "",
      run: (_words, { node }) => reply(node.access.names()),
    },
    {
      ...ROW,
      name: "acl|whoami",
      arity: 2,
      flags: ALWAYS,
      summary: "Returns the name of the user that the connection is",
      syntax: "",
      run: (_words, { user }): { reply: RespValue } => ({ reply: user }),
    },
  ];
}

/** ACL, with the categories of all commands from `table`. */
export function aclCommand(table: CommandTable): CommandRow {
  return {
    ...ROW,
    name: "acl",
    arity: -2,
    flags: [],
    summary: "Commands about users",
    syntax: "subcommand",
    subcommands: withHelp("acl", rows(table)),
  };
}
