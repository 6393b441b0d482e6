/**
 * What can be set when a node starts: by flags, and by a JSON document on standard input
 * (`--config -`), whose keys are the names of the flags, and `users`. Flags win.
 *
 * One table says what each setting takes. The reader of the document, the flags and the schema in
 * `docs/config.schema.json` follow it. A document may hold secrets, so no error repeats more of it than
 * names of keys, and values of settings that are no secrets.
 *
 * @module
 */

import { type ByteString, fromText } from "../byte_string.ts";
import { type CommandLine, readCommandLine } from "../command_line.ts";
import { UsageError } from "../errors.ts";
import { CONFIG_BYTES_MAX } from "../limits.ts";
import { hasBlanks, newUser, type User, withRule } from "./access/user.ts";

/** What a setting takes in the document. */
type SettingType =
  /** A text, as behind the flag. */
  | "text"
  /** An integer that is not negative. */
  | "integer"
  /** A text, or an integer. */
  | "size"
  /** `true`, as the flag given; `false`, as without it. */
  | "switch"
  /** Texts, one at least. */
  | "list"
  /** A text that is never repeated, and too long to be guessed. */
  | "secret"
  /** An object: by the name of each user its rules, an array of texts. */
  | "users"
  /** The text of certificates or of a key. Some are secrets: no error repeats them. */
  | "pem";

/** A row of the table. */
interface Setting {
  readonly type: SettingType;
  /** For the schema: one sentence, without a full stop. */
  readonly summary: string;
  /** If only some texts are good. */
  readonly choices?: readonly string[];
}

const text = (summary: string): Setting => ({ type: "text", summary });
const time = (summary: string): Setting => text(`${summary}, such as "500ms" or "5s"`);

const pem = (summary: string): Setting => ({ type: "pem", summary: `${summary}, in PEM` });

/** By the name of the flag. */
const SETTINGS: Readonly<Record<string, Setting>> = {
  "port": { type: "integer", summary: "The port for clients and for the other nodes" },
  "host": text("The local address to listen at"),
  "peers": {
    type: "list",
    summary: "All nodes of the first start, this one included: host, or host:port",
  },
  "nodes": {
    type: "integer",
    summary: "How many nodes the first start has, if names of peers stand for several",
  },
  "join": { type: "list", summary: "Nodes of the cluster that this node is added to" },
  "advertise": text("This node's own entry among the peers"),
  "data": text("The file or the folder of the journal"),
  "http": { type: "integer", summary: "The port for the status page, metrics and health, by HTTP" },
  "http-host": text("The local address for these"),
  "http-name": { type: "list", summary: "Other host names under which it may be asked for these" },
  "ephemeral": { type: "switch", summary: "Store nothing" },
  "force-new-cluster": { type: "switch", summary: "Start a new cluster from this journal" },
  "timeout": time("A request is answered within this time"),
  "idle-timeout": time("A client that has been silent for this long is disconnected"),
  "lease": time("How long a node may answer reads after a heartbeat"),
  "suspicion": time("The others continue without a node that has been silent for this long"),
  "heartbeat": time("The time between heartbeats"),
  "slow-force": time("A disk is slow if its forces take longer on average"),
  "slow-member": {
    type: "text",
    summary: "What is done about a slow disk",
    choices: ["warn", "exclude"],
  },
  "max-key-bytes": { type: "integer", summary: "The longest key, in bytes" },
  "max-value-bytes": { type: "integer", summary: "The longest value, in bytes" },
  "max-memory": {
    type: "size",
    summary: 'The memory for keys and values in bytes, or such as "512mb"; 0: no bound',
  },
  "notify-keyspace-events": text("The keyspace events to publish, in Redis's letters"),
  "enable-debug-command": { type: "switch", summary: "Allow DEBUG SLEEP, for tests of clients" },
  "log-level": {
    type: "text",
    summary: "What is logged",
    choices: ["debug", "info", "warn", "error", "critical"],
  },
  "log-format": { type: "text", summary: "How it is logged", choices: ["text", "json"] },
  "tls-auth-clients": {
    type: "switch",
    summary: "Let in only clients that show a certificate of tls-ca",
  },
  "tls-plain-clients": { type: "switch", summary: "Serve clients without TLS too" },
  "plain-peers": {
    type: "switch",
    summary: "Also talk to nodes without the secret or TLS, while a cluster gets or loses it",
  },
  "cluster-secret": { type: "secret", summary: "What all nodes know, and nobody else" },
  "tls-cert": pem("This node's certificate and those between it and the authority; TLS needs it"),
  "tls-key": pem("The private key of this certificate"),
  "tls-ca": pem("The authorities that certificates of other nodes, and of clients, must be of"),
  "users": { type: "users", summary: "Users and their rules, as in ACL SETUSER" },
};

const NAMES: readonly string[] = Object.keys(SETTINGS);

/** Shortest and longest cluster secret: who has talked to a node can try secrets at leisure. */
const SECRET_LENGTH_MIN = 16;
const SECRET_LENGTH_MAX = 1024;

/** What has no flag: a command line is no place for secrets. */
const ONLY_IN_DOCUMENT: readonly string[] = NAMES.filter((name) =>
  ["pem", "secret", "users"].includes(SETTINGS[name]?.type ?? "")
);
const SWITCHES: readonly string[] = NAMES.filter((name) => SETTINGS[name]?.type === "switch");

/** Flags that are no settings. */
const VALUES_OF_FLAGS: readonly string[] = ["config"];

/** These say one thing together: a flag of one of them stands for all. */
const PLACE: readonly string[] = ["data", "ephemeral"];
const NODES: readonly string[] = ["peers", "join"];

/** The flags of `dks serve`. */
export interface ServeFlags {
  readonly line: CommandLine;
  /** Standard input has the rest of the configuration. */
  readonly hasDocument: boolean;
}

/**
 * Reads the flags of `dks serve`.
 *
 * @throws {UsageError} if they are wrong.
 */
export function readServeFlags(args: readonly string[]): ServeFlags {
  const line = readCommandLine(args, {
    values: [
      ...NAMES.filter((name) => !SWITCHES.includes(name) && !ONLY_IN_DOCUMENT.includes(name)),
      ...VALUES_OF_FLAGS,
    ],
    switches: [...SWITCHES, "help"],
    alias: { p: "port", h: "help" },
  });
  const config = line.value("config");
  if (config !== undefined && config !== "-") {
    throw new UsageError(
      `dks opens no files: --config takes -, and reads standard input, not "${config}"`,
    );
  }
  return { line, hasDocument: config !== undefined };
}

/** What a document sets. */
export interface ServeDocument {
  /** By name: as the flag takes it. */
  readonly values: ReadonlyMap<string, string>;
  /** By name. */
  readonly users: ReadonlyMap<ByteString, User>;
}

const NO_DOCUMENT: ServeDocument = { values: new Map(), users: new Map() };

/** What was set, by flags or in a document. */
export class ServeSettings {
  readonly #line: CommandLine;
  readonly #document: ReadonlyMap<string, string>;
  /** By name. */
  readonly users: ReadonlyMap<ByteString, User>;
  readonly clusterSecret: string | undefined;

  /** @param document what {@linkcode readDocument} has read */
  constructor(line: CommandLine, document: ServeDocument = NO_DOCUMENT) {
    this.#line = line;
    this.#document = document.values;
    this.users = document.users;
    this.clusterSecret = document.values.get("cluster-secret");
  }

  /** Returns the value of a setting as a flag takes it; `undefined` if it was not set. */
  value(name: string): string | undefined {
    const flag = this.#line.value(name);
    if (flag !== undefined) return flag;
    return this.#isOverruled(name) ? undefined : this.#document.get(name);
  }

  /** Tells whether a switch was set. */
  has(name: string): boolean {
    if (this.#line.has(name)) return true;
    return !this.#isOverruled(name) && this.#document.get(name) === "true";
  }

  /** Returns how errors name a setting: as the flag, or as what the document has. */
  label(name: string): string {
    const isInDocument = this.#line.value(name) === undefined && this.#document.has(name);
    return isInDocument ? `"${name}" in the configuration` : `--${name}`;
  }

  #isOverruled(name: string): boolean {
    const group = name === "nodes"
      ? NODES
      : [PLACE, NODES].find((names) => names.includes(name)) ?? [];
    return group.some((one) => this.#line.value(one) !== undefined || this.#line.has(one));
  }
}

/**
 * Returns what a document sets.
 *
 * @param bytes at most {@linkcode CONFIG_BYTES_MAX}
 * @throws {UsageError} if the document is no JSON object, or has a key that there is not, or one of
 * another type than it takes: the error names the key, and what was expected.
 */
export function readDocument(bytes: Uint8Array): ServeDocument {
  const document = parseDocument(bytes);
  const values = new Map<string, string>();
  let users: ReadonlyMap<ByteString, User> = new Map();
  for (const [name, value] of Object.entries(document)) {
    const setting = Object.hasOwn(SETTINGS, name) ? SETTINGS[name] : undefined;
    if (setting === undefined) {
      throw new UsageError(
        `the configuration has the unknown key ${JSON.stringify(name)}: there are ${
          NAMES.join(", ")
        }`,
      );
    }
    const read = setting.type === "users" ? usersOf(value) : flagOf(setting, value);
    if (read === undefined) {
      throw new UsageError(
        `"${name}" in the configuration takes ${expected(setting)}, not ${found(setting, value)}`,
      );
    }
    if (typeof read === "string") values.set(name, read);
    else users = read;
  }
  return { values, users };
}

/**
 * Returns the users that an object describes; `undefined` if it is none.
 *
 * @throws {UsageError} if rules are wrong. Of those that may be secret it says only which.
 */
function usersOf(value: unknown): ReadonlyMap<ByteString, User> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const users = new Map<ByteString, User>();
  for (const [text, rules] of Object.entries(value)) {
    const who = `the user ${JSON.stringify(text)} in the configuration`;
    const name = fromText(text);
    if (name === "" || hasBlanks(name)) throw new UsageError(`${who} has a name with a blank`);
    if (!isTexts(rules)) {
      throw new UsageError(`${who} takes an array of rules, each a text, not ${typeName(rules)}`);
    }
    let user = newUser(name);
    rules.forEach((rule, at) => {
      const next = withRule(user, fromText(rule));
      if (typeof next !== "string") {
        user = next;
        return;
      }
      const shown = /^[-+~%&]/.test(rule) ? `, ${JSON.stringify(rule)}` : "";
      throw new UsageError(`${who} has a wrong rule, number ${at + 1}${shown}: ${next}`);
    });
    users.set(name, user);
  }
  return users;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function parseDocument(bytes: Uint8Array): object {
  if (bytes.length > CONFIG_BYTES_MAX) {
    throw new UsageError(`the configuration has more than ${CONFIG_BYTES_MAX} bytes`);
  }
  let json: string;
  try {
    json = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError("the configuration on standard input is not UTF-8");
  }
  let document: unknown;
  try {
    document = JSON.parse(json);
  } catch (error) {
    throw new UsageError(
      `the configuration on standard input is not JSON${placeOf(error, json)}`,
    );
  }
  if (typeof document === "object" && document !== null && !Array.isArray(document)) {
    return document;
  }
  throw new UsageError(
    `the configuration on standard input is ${typeName(document)}, and must be an object`,
  );
}

/** Where the parser has stopped. Its own words repeat a part of the document, which may be secret. */
function placeOf(error: unknown, json: string): string {
  if (json.trim() === "") return ": it is empty";
  const place = /\(line \d+ column \d+\)$/.exec(error instanceof Error ? error.message : "");
  return place === null ? "" : ` ${place[0]}`;
}

/** Returns a value as the flag takes it; `undefined` for one of another type. */
function flagOf({ type, choices }: Setting, value: unknown): string | undefined {
  switch (type) {
    case "text":
      if (typeof value !== "string" || value === "") return undefined;
      return choices === undefined || choices.includes(value) ? value : undefined;
    case "pem":
      return typeof value === "string" && value.includes(PEM_BEGIN) ? value : undefined;
    case "integer":
      return isCount(value) ? String(value) : undefined;
    case "size":
      if (typeof value === "string" && value !== "") return value;
      return isCount(value) ? String(value) : undefined;
    case "switch":
      return typeof value === "boolean" ? String(value) : undefined;
    case "list": {
      // What the flag would take apart is no single text.
      const isList = Array.isArray(value) && value.length > 0 &&
        value.every((one) => typeof one === "string" && one !== "" && !one.includes(","));
      return isList ? value.join(",") : undefined;
    }
    case "secret":
      return isLongSecret(value) ? value : undefined;
    case "users":
      return undefined; // It has no flag.
  }
}

function isLongSecret(value: unknown): value is string {
  return typeof value === "string" && value.length >= SECRET_LENGTH_MIN &&
    value.length <= SECRET_LENGTH_MAX;
}

const PEM_BEGIN = "-----BEGIN ";

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function expected({ type, choices }: Setting): string {
  switch (type) {
    case "text":
      return choices === undefined
        ? "a text"
        : `one of ${choices.map((one) => `"${one}"`).join(", ")}`;
    case "pem":
      return "a text of PEM";
    case "integer":
      return "an integer of 0 or more";
    case "size":
      return "a text, or an integer of 0 or more";
    case "switch":
      return "true or false";
    case "list":
      return "an array of texts, one at least, each without a comma";
    case "secret":
      return `a text of ${SECRET_LENGTH_MIN} to ${SECRET_LENGTH_MAX} characters`;
    case "users":
      return "an object of names, each with an array of rules";
  }
}

/** What a value of the right type is, by the type of the setting. */
const RIGHT_TYPES: Readonly<Partial<Record<SettingType, string>>> = {
  text: "a text",
  pem: "a text",
  secret: "a text",
  integer: "a number",
  list: "an array",
};

/** Says what was found in the place of what is expected, and not which value. */
function found({ type }: Setting, value: unknown): string {
  const name = typeName(value);
  return name === RIGHT_TYPES[type] ? name.replace(/^an? /, "another ") : name;
}

/** Says what a value is, and not which. */
function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  switch (typeof value) {
    case "string":
      return value === "" ? "an empty text" : "a text";
    case "number":
      return "a number";
    case "boolean":
      return "true or false";
    default:
      return "an object";
  }
}

/** Returns the JSON schema of the document, draft 2020-12. */
export function documentSchema(): unknown {
  const properties = Object.entries(SETTINGS).map(([name, setting]) => [
    name,
    { description: setting.summary, ...schemaOf(setting) },
  ]);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "The configuration that dks serve --config - reads from standard input",
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(properties),
  };
}

const TEXT_SCHEMA = { type: "string", minLength: 1 } as const;

function schemaOf({ type, choices }: Setting): object {
  switch (type) {
    case "text":
      return choices === undefined ? TEXT_SCHEMA : { enum: choices };
    case "pem":
      return { type: "string", pattern: PEM_BEGIN };
    case "integer":
      return { type: "integer", minimum: 0 };
    case "size":
      return { type: ["string", "integer"], minLength: 1, minimum: 0 };
    case "switch":
      return { type: "boolean" };
    case "list":
      return { type: "array", minItems: 1, items: { ...TEXT_SCHEMA, pattern: "^[^,]*$" } };
    case "secret":
      return { type: "string", minLength: SECRET_LENGTH_MIN, maxLength: SECRET_LENGTH_MAX };
    case "users":
      return {
        type: "object",
        propertyNames: { pattern: "^\\S+$" },
        additionalProperties: { type: "array", items: { type: "string" } },
      };
  }
}
