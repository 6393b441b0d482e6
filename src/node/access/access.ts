/**
 * Who may do what at one node.
 *
 * Users are stored as one value under a reserved key, so they are as durable as any key, and a change is
 * one transaction: it is in force at a node from the moment at which the node applies it. Users of the
 * node's own configuration stand before those that are stored, and no command changes them.
 *
 * What a client may not do is decided when it becomes a user, and when users change. A client that may do
 * everything has no {@linkcode Restriction}: its commands cost one look at a field.
 *
 * A node without the key, as one whose journal is empty and that has not joined yet, knows only the users of
 * its configuration. What it has once known it keeps while it starts over.
 *
 * @module
 */

import { timingSafeEqual } from "node:crypto";
import { type ByteString, toBytes } from "../../byte_string.ts";
import { PASSWORD_BYTES_MAX, USERS_BYTES_MAX } from "../../limits.ts";
import { USERS_KEY } from "../../reserved_keys.ts";
import { ErrorReply, OK, type RespValue } from "../../resp/value.ts";
import type { Stamp } from "../../two_phase/messages.ts";
import type { Evaluation } from "../../two_phase/request.ts";
import { error, errorRepeating, unchanged, wrongArity } from "../commands/arguments.ts";
import { lineOf } from "../commands/clients.ts";
import type {
  AccessHost,
  Command,
  CommandResult,
  Restriction,
  Session,
} from "../commands/command.ts";
import { COMMANDS } from "../commands/table.ts";
import { AccessLog, type Refused } from "./access_log.ts";
import { AuthLimit, sourceOf } from "./auth_limit.ts";
import { type Denial, Permissions } from "./permissions.ts";
import {
  channelRules,
  commandRules,
  DEFAULT_USER,
  flagsOf,
  formatUsers,
  hasBlanks,
  hashOf,
  keyRules,
  lineOfUser,
  linesOfUsers,
  newUser,
  OPEN_DEFAULT,
  parseUsers,
  type User,
  withRule,
} from "./user.ts";

/** What {@linkcode Access} needs. */
export interface AccessOptions {
  /** The users of the configuration, by name. */
  readonly configured: ReadonlyMap<ByteString, User>;
  /** Returns the sessions of all connections. */
  readonly sessions: () => Iterable<Session>;
  /** Does `action` when the present turn has answered its clients. */
  readonly later: (action: () => void) => void;
  /** Returns the monotonic clock, in milliseconds. */
  readonly nowMs: () => number;
  /** Tells an operator. */
  readonly warn: (message: string) => void;
}

/** A user, and what clients that are it may not do; `undefined` for nothing. */
interface Known {
  readonly user: User;
  readonly permissions: Permissions;
  readonly restriction: Restriction | undefined;
}

const NOT_AUTHENTICATED = new ErrorReply("NOAUTH", "Authentication required.");
const WRONG_PASSWORD = new ErrorReply(
  "WRONGPASS",
  "invalid username-password pair or user is disabled.",
);
const NO_PASSWORD_NEEDED = new ErrorReply(
  "ERR",
  "AUTH <password> called without any password configured for the default user. Are you sure your " +
    "configuration is correct?",
);

/** What a client may not do that has to say who it is. */
const LOCKED: Restriction = {
  whyNot: ({ flags }) => flags.includes("no_auth") ? undefined : NOT_AUTHENTICATED,
  whyNoLonger: () => NOT_AUTHENTICATED.message,
};

/** What somebody is compared with who names no user that there is: it takes as long. */
const NOBODY = newUser("");
const NO_HASH = "0".repeat(64);

/** Says what is denied, as NOPERM. */
const DENIED: Readonly<Record<Denial["reason"], (object: ByteString) => string>> = {
  command: (name) => `this user has no permissions to run the '${name}' command`,
  key: () => "this user has no permissions to access one of the keys used as arguments",
  channel: () => "this user has no permissions to access one of the channels used as arguments",
};

/** The same, of what could be queued and can no longer be executed. */
const NO_LONGER: Readonly<Record<Denial["reason"], string>> = {
  command: "no permission to execute the command or subcommand",
  key: "no permission to touch the specified keys",
  channel: "no permission to access one of the channels used as arguments to the command",
};

/** The same, as ACL DRYRUN says it. */
const DRY: Readonly<Record<Denial["reason"], (object: ByteString) => ByteString>> = {
  command: (name) => `This user has no permissions to run the '${name}' command`,
  key: (key) => `This user has no permissions to access the '${key}' key`,
  channel: (channel) => `This user has no permissions to access the '${channel}' channel`,
};

/** The users of one node. */
export class Access implements AccessHost {
  readonly #options: AccessOptions;
  /** What the key holds, as far as this node has heard of it. */
  #stored: ReadonlyMap<ByteString, User> = new Map();
  #known: ReadonlyMap<ByteString, Known> = new Map();
  #storedUsers: ByteString | undefined;
  /** Clients that have given a password that was right: its hash. */
  readonly #proven = new WeakMap<Session, string>();
  readonly #log = new AccessLog();
  /** How often this process has refused something, by what was lacking. */
  readonly denied: Record<Refused["reason"], number> = { auth: 0, command: 0, key: 0, channel: 0 };
  readonly #limit = new AuthLimit();

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#decide();
  }

  // --- Users ---------------------------------------------------------------------------------

  /**
   * The users are stored that `value` describes: from now on they are in force, for connections that there
   * are, too. `undefined` is of no meaning: the key is never deleted, but a node that starts over loses
   * all keys for a while.
   *
   * @param about `isJoining`: the node learns what was stored before it joined. Then clients stay who they
   * are only if they could become it now, with the password that they have given, if any: what they were
   * asked for before was out of date.
   */
  onStored(value: ByteString | undefined, { isJoining }: { isJoining: boolean }): void {
    if (value === undefined) return;
    this.#storedUsers = value;
    this.#stored = parseUsers(value);
    const before = this.#known;
    this.#decide();
    const ended: Session[] = [];
    for (const session of this.#options.sessions()) {
      const was = before.get(session.user)?.user;
      if (!this.#review(session, { was, isJoining })) ended.push(session);
    }
    if (ended.length === 0) return;
    for (const session of ended) {
      session.isAuthenticated = false;
      session.restriction = LOCKED;
    }
    this.#options.later(() => {
      for (const session of ended) session.connection.end();
    });
  }

  /** The value of the key, as far as this node has heard of it. */
  get storedUsers(): ByteString | undefined {
    return this.#storedUsers;
  }

  /** Makes of the users what is looked up for each connection. */
  #decide(): void {
    const users = new Map([
      [DEFAULT_USER, OPEN_DEFAULT],
      ...this.#stored,
      ...this.#options.configured,
    ]);
    const before = this.#known;
    this.#known = new Map([...users].map(([name, user]) => {
      const known = before.get(name);
      const isSame = known !== undefined && known.user.addedBy === user.addedBy &&
        lineOfUser(known.user) === lineOfUser(user);
      return [name, isSame ? known : this.#knownOf(user)];
    }));
  }

  #knownOf(user: User): Known {
    const permissions = new Permissions(user);
    const restriction = permissions.isAll ? undefined : this.#restrictionOf(permissions);
    return { user, permissions, restriction };
  }

  #restrictionOf(permissions: Permissions): Restriction {
    return {
      whyNot: (command, words, session) => {
        const denial = permissions.denial(command, words);
        return denial === undefined ? undefined : this.#refuse(denial, session);
      },
      whyNoLonger: (command, words) => {
        const denial = permissions.denial(command, words);
        return denial === undefined ? undefined : NO_LONGER[denial.reason];
      },
    };
  }

  #refuse(denial: Denial, session: Session): ErrorReply {
    this.#note({ ...denial, user: session.user }, session);
    return new ErrorReply("NOPERM", DENIED[denial.reason](denial.object));
  }

  #note(refused: Omit<Refused, "context" | "client">, session: Session): void {
    this.denied[refused.reason]++;
    const isQueueing = session.features?.transaction?.isQueueing === true;
    const context = isQueueing ? "multi" : "toplevel";
    const client = lineOf(session, COMMANDS).trimEnd();
    this.#log.add({ ...refused, context, client }, this.#options.nowMs());
  }

  /**
   * Decides anew what a client may do. Returns false if its connection has to end.
   *
   * @param by `was`: the user that it is, as that was before
   */
  #review(session: Session, by: { was: User | undefined; isJoining: boolean }): boolean {
    if (!session.isAuthenticated) {
      this.begin(session);
      return true;
    }
    const known = this.#known.get(session.user);
    if (known === undefined) return false;
    if (by.was !== undefined && !isSameUser(by.was, known.user)) return false;
    if (by.isJoining && !this.#couldBecome(known.user, session)) return false;
    session.restriction = known.restriction;
    const { channel, shard, pattern } = session.features?.subscriptions ?? {};
    const { permissions } = known;
    return [...channel ?? [], ...shard ?? []].every((one) => permissions.mayListen(one, false)) &&
      [...pattern ?? []].every((one) => permissions.mayListen(one, true));
  }

  #couldBecome(user: User, session: Session): boolean {
    return isOpen(user) || user.isOn && user.passwords.includes(this.#proven.get(session) ?? "");
  }

  get #default(): Known {
    return this.#known.get(DEFAULT_USER) ?? this.#knownOf(OPEN_DEFAULT);
  }

  has(name: ByteString): boolean {
    return this.#known.has(name);
  }

  names(): readonly ByteString[] {
    return [...this.#known.keys()].sort();
  }

  lines(): readonly ByteString[] {
    return linesOfUsers(new Map([...this.#known].map(([name, { user }]) => [name, user])));
  }

  describe(name: ByteString): RespValue {
    const user = this.#known.get(name)?.user;
    if (user === undefined) return null;
    return new Map<RespValue, RespValue>([
      ["flags", new Set<RespValue>(flagsOf(user))],
      ["passwords", user.passwords],
      ["commands", commandRules(user)],
      ["keys", keyRules(user)],
      ["channels", channelRules(user)],
      ["selectors", []],
    ]);
  }

  // --- Changes -------------------------------------------------------------------------------

  setUser(name: ByteString, rules: readonly ByteString[]): CommandResult {
    if (name === "" || hasBlanks(name)) {
      return error("Usernames can't contain spaces or null characters");
    }
    const refusal = this.#whyFixed(name);
    if (refusal !== undefined) return { reply: refusal };
    return change((users, version) => {
      let user = users.get(name) ??
        (name === DEFAULT_USER ? OPEN_DEFAULT : newUser(name, version));
      for (const rule of rules) {
        const next = withRule(user, rule);
        if (typeof next === "string") {
          return errorRepeating(`Error in ACL SETUSER modifier '${rule}': ${next}`);
        }
        user = next;
      }
      users.set(name, user);
      return OK;
    });
  }

  deleteUsers(names: readonly ByteString[]): CommandResult {
    if (names.includes(DEFAULT_USER)) return error("The 'default' user cannot be removed");
    for (const name of names) {
      const refusal = this.#whyFixed(name);
      if (refusal !== undefined) return { reply: refusal };
    }
    return change((users) => names.filter((name) => users.delete(name)).length);
  }

  #whyFixed(name: ByteString): ErrorReply | undefined {
    if (!this.#options.configured.has(name)) return undefined;
    return errorRepeating(
      `the user '${name}' is set by the configuration of this node, which no command changes`,
    );
  }

  // --- Clients -------------------------------------------------------------------------------

  begin(session: Session): void {
    const { user, restriction } = this.#default;
    session.user = DEFAULT_USER;
    this.#proven.delete(session);
    session.isAuthenticated = isOpen(user);
    session.restriction = session.isAuthenticated ? restriction : LOCKED;
  }

  authenticate(
    session: Session,
    by: { name: ByteString | undefined; password: ByteString; command: ByteString },
  ): ErrorReply | undefined {
    const { name = DEFAULT_USER, password } = by;
    if (by.name === undefined && this.#default.user.isWithoutPassword) return NO_PASSWORD_NEEDED;
    const known = this.#known.get(name);
    if (known !== undefined && isOpen(known.user)) this.#proven.delete(session);
    else {
      const refusal = this.#whyWrong(known?.user ?? NOBODY, { ...by, name, password }, session);
      if (refusal !== undefined) return refusal;
      this.#proven.set(session, hashOf(password));
    }
    session.user = name;
    session.isAuthenticated = true;
    session.restriction = known?.restriction;
    return undefined;
  }

  #whyWrong(
    user: User,
    by: { name: ByteString; password: ByteString; command: ByteString },
    session: Session,
  ): ErrorReply | undefined {
    const source = sourceOf(session.connection.address);
    const nowMs = this.#options.nowMs();
    if (!this.#limit.mayTry(source, nowMs)) {
      const message = `too many failed attempts to authenticate from ${source}: try again later`;
      return new ErrorReply("ERR", message);
    }
    const isRight = isPasswordOf(user, by.password);
    if (isRight && user.isOn) return undefined;
    const unsaid = this.#limit.failed(source, nowMs);
    if (unsaid !== undefined) {
      const more = unsaid === 0 ? "" : `; so were ${unsaid} before it`;
      // Without the name of the user: people write passwords in its place.
      this.#options.warn(`an attempt to authenticate from ${source} was refused${more}`);
    }
    this.#note({ reason: "auth", object: by.command, user: by.name }, session);
    return WRONG_PASSWORD;
  }

  dryRun(name: ByteString, words: readonly ByteString[]): RespValue {
    const known = this.#known.get(name);
    if (known === undefined) return errorRepeating(`User '${name}' not found`);
    const command: Command | undefined = COMMANDS.find(words);
    if (command === undefined) return errorRepeating(`Command '${words[0] ?? ""}' not found`);
    const { arity } = command;
    if (arity >= 0 ? words.length !== arity : words.length < -arity) {
      return wrongArity(command.name);
    }
    const denial = known.permissions.denial(command, words);
    return denial === undefined ? OK : DRY[denial.reason](denial.object);
  }

  log(count: number): RespValue {
    return this.#log.latest(count, this.#options.nowMs());
  }

  resetLog(): void {
    this.#log.reset();
  }

  randomHex(bits: number): string {
    const digits = Math.ceil(bits / 4);
    const bytes = crypto.getRandomValues(new Uint8Array(Math.ceil(digits / 2)));
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.slice(0, digits);
  }
}

/**
 * Tells whether a user is none that was added since another one had its name. An earlier version of dks, which
 * does not know by what a user was added, leaves that out for all when it changes one.
 */
function isSameUser(was: User, user: User): boolean {
  return user.addedBy === was.addedBy || user.addedBy === 0;
}

/** Tells whether everybody is this user who does not say otherwise. */
function isOpen({ isOn, isWithoutPassword }: User): boolean {
  return isOn && isWithoutPassword;
}

/** Compares with all passwords, in a time that does not depend on how much of one is right. */
function isPasswordOf({ passwords }: User, password: ByteString): boolean {
  if (password.length > PASSWORD_BYTES_MAX) return false;
  const given = toBytes(hashOf(password));
  let isRight = false;
  for (const hash of passwords.length === 0 ? [NO_HASH] : passwords) {
    if (timingSafeEqual(toBytes(hash), given)) isRight = true;
  }
  return isRight;
}

/** A write of the users, as `edit` leaves them; or nothing, and the error that it returns. */
function change(
  edit: (users: Map<ByteString, User>, version: Stamp) => RespValue,
): CommandResult {
  return {
    request: {
      kind: "write",
      keys: [USERS_KEY],
      evaluate: (read, { version }): Evaluation => {
        const users = parseUsers(read(USERS_KEY) ?? "");
        const reply = edit(users, version);
        if (reply instanceof ErrorReply) return unchanged(reply);
        const value = formatUsers(users);
        if (value.length > USERS_BYTES_MAX) {
          const message = `all users together have at most ${USERS_BYTES_MAX} bytes of rules`;
          return unchanged(new ErrorReply("ERR", message));
        }
        return { effects: [{ key: USERS_KEY, value }], reply };
      },
    },
  };
}
