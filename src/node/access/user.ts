/**
 * A user: who it is, and what it may do, by Redis's rules (redis.io, "ACL").
 *
 * A user never changes: rules make another one. As a line, in the form of ACL LIST, it is also how users
 * are stored:
 *
 * ```text
 * user alice on #9f86d0…0a08 ~cache:* %R~config:* resetchannels &news.* -@all +@read +set
 * ```
 *
 * A stored line may end with the version of the transaction that has added the user, as `=17`: a user of the
 * same name that is deleted and added again is another one, and who was the earlier one is not the later.
 * No command shows it.
 *
 * Passwords are held as their SHA-256 and never as they are.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type ByteString, toBytes } from "../../byte_string.ts";
import type { Stamp } from "../../two_phase/messages.ts";
import { CATEGORIES, categoriesOf, type Command } from "../commands/command.ts";
import { COMMANDS } from "../commands/table.ts";

/** The user that clients are which have not said who they are. */
export const DEFAULT_USER: ByteString = "default";

/** Keys that a user may read, write, or both. */
export interface KeyPattern {
  readonly pattern: ByteString;
  readonly reads: boolean;
  readonly writes: boolean;
}

/** What to do about Redis's rule for values that RESTORE brings: kept and shown, as dks has no RESTORE. */
type Sanitizing = "" | "sanitize-payload" | "skip-sanitize-payload";

/** A user. */
export interface User {
  readonly name: ByteString;
  /** The version of the transaction that has added it; 0 if no command has, or that is not known. */
  readonly addedBy: Stamp;
  /** Somebody may become it. */
  readonly isOn: boolean;
  /** Every password is right. */
  readonly isWithoutPassword: boolean;
  readonly sanitizing: Sanitizing;
  /** SHA-256 in hexadecimal, in the order in which they were added. */
  readonly passwords: readonly string[];
  readonly hasAllKeys: boolean;
  readonly keys: readonly KeyPattern[];
  readonly hasAllChannels: boolean;
  readonly channels: readonly ByteString[];
  /** Which commands it may run: rules such as `+@read` and `-get`, of which the later ones win. */
  readonly commandRules: readonly string[];
}

const NEW_USER: Omit<User, "name" | "addedBy"> = {
  isOn: false,
  isWithoutPassword: false,
  sanitizing: "",
  passwords: [],
  hasAllKeys: false,
  keys: [],
  hasAllChannels: false,
  channels: [],
  commandRules: ["-@all"],
};

/** Returns a user that may do nothing, as one is before the first rule. */
export function newUser(name: ByteString, addedBy: Stamp = 0): User {
  return { name, addedBy, ...NEW_USER };
}

/** The default user until it is changed: it may do everything, without a password. */
export const OPEN_DEFAULT: User = {
  ...newUser(DEFAULT_USER),
  isOn: true,
  isWithoutPassword: true,
  hasAllKeys: true,
  hasAllChannels: true,
  commandRules: ["+@all"],
};

/** Tells whether a word can be in a line: there it would be taken apart. */
export function hasBlanks(word: ByteString): boolean {
  return /[\s\0]/.test(word);
}

/** Returns the SHA-256 of a password, in hexadecimal. */
export function hashOf(password: ByteString): string {
  return createHash("sha256").update(toBytes(password)).digest("hex");
}

// --- Rules -------------------------------------------------------------------------------------------

const SYNTAX = "Syntax error";
const UNKNOWN_COMMAND = "Unknown command or category name in ACL";
const BAD_HASH =
  "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
const NO_PASSWORD = "The password you are trying to remove from the user does not exist";
const ALL_KEYS_ALREADY =
  "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any " +
  "effect. Try 'resetkeys' to start with an empty list of patterns";
const ALL_CHANNELS_ALREADY =
  "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have " +
  "any effect. Try 'resetchannels' to start with an empty list of channels";

/** Rules that are one word. */
const WORDS: ReadonlyMap<string, Partial<User>> = new Map<string, Partial<User>>([
  ["on", { isOn: true }],
  ["off", { isOn: false }],
  ["nopass", { isWithoutPassword: true, passwords: [] }],
  ["resetpass", { isWithoutPassword: false, passwords: [] }],
  ["sanitize-payload", { sanitizing: "sanitize-payload" }],
  ["skip-sanitize-payload", { sanitizing: "skip-sanitize-payload" }],
  ["allkeys", { hasAllKeys: true, keys: [] }],
  ["~*", { hasAllKeys: true, keys: [] }],
  ["resetkeys", { hasAllKeys: false, keys: [] }],
  ["allchannels", { hasAllChannels: true, channels: [] }],
  ["&*", { hasAllChannels: true, channels: [] }],
  ["resetchannels", { hasAllChannels: false, channels: [] }],
  ["allcommands", { commandRules: ["+@all"] }],
  ["+@all", { commandRules: ["+@all"] }],
  ["nocommands", { commandRules: ["-@all"] }],
  ["-@all", { commandRules: ["-@all"] }],
  ["clearselectors", {}],
  ["reset", { ...NEW_USER, sanitizing: "sanitize-payload" }],
]);

/**
 * Returns the user with one more rule; or why the rule is none, in Redis's words.
 *
 * @param options `isLenient`: a rule of a command that there is not is taken: another version has it
 */
export function withRule(
  user: User,
  rule: ByteString,
  { isLenient = false }: { isLenient?: boolean } = {},
): User | string {
  const words = WORDS.get(rule.toLowerCase());
  if (words !== undefined) return { ...user, ...words };
  const rest = rule.slice(1);
  switch (rule[0]) {
    case ">":
      return withPassword(user, hashOf(rest));
    case "#":
      return isHash(rest) ? withPassword(user, rest) : BAD_HASH;
    case "<":
      return withoutPassword(user, hashOf(rest));
    case "!":
      return isHash(rest) ? withoutPassword(user, rest) : BAD_HASH;
    case "~":
      return withKeys(user, { pattern: rest, reads: true, writes: true });
    case "%":
      return withKeysOfSome(user, rest);
    case "&":
      return withChannel(user, rest);
    case "+":
    case "-":
      return withCommands(user, rule.toLowerCase(), isLenient);
    default:
      return SYNTAX;
  }
}

function isHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

function withPassword(user: User, hash: string): User {
  const isKnown = user.passwords.includes(hash);
  const passwords = isKnown ? user.passwords : [...user.passwords, hash];
  return { ...user, passwords, isWithoutPassword: false };
}

function withoutPassword(user: User, hash: string): User | string {
  if (!user.passwords.includes(hash)) return NO_PASSWORD;
  return { ...user, passwords: user.passwords.filter((one) => one !== hash) };
}

/** `R~pattern`, `W~pattern`, `RW~pattern` */
function withKeysOfSome(user: User, rest: ByteString): User | string {
  if (user.hasAllKeys) return ALL_KEYS_ALREADY;
  const [, letters = "", pattern = ""] = /^(r|w|rw|wr)~([^]*)$/i.exec(rest) ?? [];
  if (letters === "") return SYNTAX;
  return withKeys(user, { pattern, reads: /r/i.test(letters), writes: /w/i.test(letters) });
}

function withKeys(user: User, added: KeyPattern): User | string {
  if (user.hasAllKeys) return ALL_KEYS_ALREADY;
  if (hasBlanks(added.pattern)) return SYNTAX;
  const isKnown = user.keys.some(({ pattern }) => pattern === added.pattern);
  if (!isKnown) return { ...user, keys: [...user.keys, added] };
  const keys = user.keys.map((one) =>
    one.pattern !== added.pattern ? one : {
      pattern: one.pattern,
      reads: one.reads || added.reads,
      writes: one.writes || added.writes,
    }
  );
  return { ...user, keys };
}

function withChannel(user: User, pattern: ByteString): User | string {
  if (user.hasAllChannels) return ALL_CHANNELS_ALREADY;
  if (hasBlanks(pattern)) return SYNTAX;
  if (user.channels.includes(pattern)) return user;
  return { ...user, channels: [...user.channels, pattern] };
}

/** A rule of commands takes the place of earlier ones of the same, and of its subcommands. */
function withCommands(user: User, rule: string, isLenient: boolean): User | string {
  const name = rule.slice(1);
  if (!isLenient && commandsOf(name) === undefined) return UNKNOWN_COMMAND;
  if (hasBlanks(name) || name === "") return SYNTAX;
  const others = user.commandRules.filter((one) => {
    const other = one.slice(1);
    return other !== name && !other.startsWith(`${name}|`);
  });
  return { ...user, commandRules: [...others, rule] };
}

/** Returns the commands that a rule names: of `@read`, `get`, `client` with all subcommands, `client|id`. */
function commandsOf(name: string): readonly Command[] | undefined {
  if (name.startsWith("@")) {
    if (name === "@all") return COMMANDS.byIndex;
    if (!CATEGORIES.includes(name.slice(1))) return undefined;
    return COMMANDS.byIndex.filter((one) => categoriesOf(one).includes(name));
  }
  const command = COMMANDS.byIndex.find((one) => one.name === name);
  return command === undefined ? undefined : [command, ...command.subcommands ?? []];
}

/** Returns which commands a user may run, by {@linkcode Command.index}. */
export function allowedCommands({ commandRules }: User): readonly boolean[] {
  const allowed = COMMANDS.byIndex.map(() => false);
  for (const rule of commandRules) {
    for (const { index } of commandsOf(rule.slice(1)) ?? []) allowed[index] = rule[0] === "+";
  }
  return allowed;
}

// --- Lines -------------------------------------------------------------------------------------------

/** Returns the flags of a user, as ACL GETUSER tells them. */
export function flagsOf({ isOn, isWithoutPassword, sanitizing }: User): string[] {
  return [
    isOn ? "on" : "off",
    ...isWithoutPassword ? ["nopass"] : [],
    ...sanitizing === "" ? [] : [sanitizing],
  ];
}

/** Returns the keys that a user may use, as rules. */
export function keyRules({ hasAllKeys, keys }: User): ByteString {
  if (hasAllKeys) return "~*";
  return keys.map(({ pattern, reads, writes }) =>
    `${reads && writes ? "~" : reads ? "%R~" : "%W~"}${pattern}`
  ).join(" ");
}

/** Returns the channels that a user may use, as rules. */
export function channelRules({ hasAllChannels, channels }: User): ByteString {
  return hasAllChannels ? "&*" : channels.map((one) => `&${one}`).join(" ");
}

/** Returns the commands that a user may run, as rules. */
export function commandRules(user: User): string {
  return user.commandRules.join(" ");
}

/** Returns the line of a user in ACL LIST. */
export function lineOfUser(user: User): ByteString {
  return [
    "user",
    user.name,
    ...flagsOf(user),
    ...user.passwords.map((hash) => `#${hash}`),
    keyRules(user),
    user.hasAllChannels ? "" : "resetchannels",
    channelRules(user),
    commandRules(user),
  ].filter((word) => word !== "").join(" ");
}

/** At the end of a stored line. It is no rule, and left out by a version that does not know it. */
const ADDED_BY = /^=(\d+)$/;

/**
 * Returns the users that stored lines describe, each the line of a user. What cannot be read is left out: another
 * version wrote it.
 */
export function parseUsers(lines: ByteString): Map<ByteString, User> {
  const users = new Map<ByteString, User>();
  for (const line of lines.split("\n")) {
    const [word, name, ...rules] = line.split(" ");
    if (word !== "user" || name === undefined) continue;
    const [, addedBy = "0"] = ADDED_BY.exec(rules.at(-1) ?? "") ?? [];
    let user = newUser(name, Number(addedBy));
    for (const rule of rules) {
      const next = withRule(user, rule, { isLenient: true });
      if (typeof next !== "string") user = next;
    }
    users.set(name, user);
  }
  return users;
}

/** Returns the lines of users as they are stored, sorted by name. */
export function formatUsers(users: ReadonlyMap<ByteString, User>): ByteString {
  return sorted(users).map((user) => {
    const { addedBy } = user;
    return addedBy === 0 ? lineOfUser(user) : `${lineOfUser(user)} =${addedBy}`;
  }).join("\n");
}

/** Returns the lines of users in ACL LIST, sorted by name. */
export function linesOfUsers(users: ReadonlyMap<ByteString, User>): ByteString[] {
  return sorted(users).map(lineOfUser);
}

function sorted(users: ReadonlyMap<ByteString, User>): User[] {
  return [...users.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}
