/**
 * Streams of commands for the comparison with Redis: what clients may send, sensible or not.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import { fromText } from "../../src/byte_string.ts";
import { COMMANDS } from "../../src/node/commands/table.ts";
import { keysOf } from "../../src/node/commands/command.ts";
import { Random } from "../sim/random.ts";

/** How the replies to a command are compared. */
export type Comparison =
  /** Byte for byte. */
  | { readonly kind: "exact" }
  /** As lists without an order. */
  | { readonly kind: "unordered" }
  /** As integers that may be so far apart: times, as the two servers look at the clock in turn. */
  | { readonly kind: "near"; readonly by: number }
  /** Not at all, for a reason that is on the list. */
  | { readonly kind: "none"; readonly reason: string };

/** A command, and how the replies to it are compared. */
export interface Step {
  readonly words: readonly ByteString[];
  readonly comparison: Comparison;
}

/** Something in which dks differs from Redis 7.0, and why it does. */
export interface Difference {
  readonly reason: string;
  /** Tells whether the replies to a command may differ by it. */
  readonly concerns: (words: readonly ByteString[]) => boolean;
}

const nameOf = ([name = ""]: readonly ByteString[]) => name.toLowerCase();

/** Returns the words that may be times. */
function timesOf(words: readonly ByteString[]): readonly ByteString[] {
  switch (nameOf(words)) {
    case "set":
      return words.slice(3);
    case "getex":
      return words.slice(2);
    case "setex":
    case "psetex":
    case "expire":
    case "pexpire":
    case "expireat":
    case "pexpireat":
      return words.slice(2, 3);
    default:
      return [];
  }
}

/** All differences that a stream may come upon. */
export const DIFFERENCES: readonly Difference[] = [
  {
    reason: "a time is at most 2⁵³ − 1 ms after 1970, and one from now on 10¹⁴ ms less",
    concerns: (words) => timesOf(words).some(isHuge),
  },
  {
    reason: "SET has the conditions IFEQ and IFNE of later servers",
    concerns: (words) =>
      nameOf(words) === "set" && words.slice(3).some((word) => /^if(eq|ne)$/i.test(word)),
  },
  {
    reason: "there is database 0 and no other",
    concerns: (words) => nameOf(words) === "copy" && words.some((word) => /^db$/i.test(word)),
  },
  {
    reason: "Redis picks another key at random",
    concerns: (words) => nameOf(words) === "randomkey" && words.length === 1,
  },
  {
    reason: "a cursor of SCAN is good at the node that gave it; Redis takes any number",
    concerns: (words) => nameOf(words) === "scan" && /[1-9]/.test(words[1] ?? ""),
  },
  {
    reason: "Redis scans a part of all keys where another one ends",
    concerns: (words) => nameOf(words) === "scan" && scansPart(words),
  },
  {
    reason: "a key has at most 64 KiB",
    concerns: (words) => {
      const command = COMMANDS.find(words);
      return command !== undefined && keysOf(command, words).some((key) => key.length > 65_536);
    },
  },
  {
    reason: "a field of BITFIELD that is set to −2⁶³ and saturates gets the lowest number; " +
      "Redis gives it the highest",
    concerns: (words) => nameOf(words) === "bitfield" && words.includes("-9223372036854775808"),
  },
];

/** Seconds that are more than 2⁵³ ms, with room for the present time; milliseconds of today are fewer. */
const HUGE = 8_900_000_000_000n;

function isHuge(word: ByteString): boolean {
  return /^\d{1,20}$/.test(word) && BigInt(word) > HUGE;
}

/**
 * Times to live are so far apart, in seconds: EXPIRE … GT asks which of two is over later, and to that
 * question two servers may answer differently that look at the clock in turn, if both are the same.
 */
const LIFETIME_STEP = 60;

/** There are so many of them, the longest of 3 years. */
const LIFETIMES = 1_600_000;

/** SCAN looks at so many keys that it comes to the end of all. */
const COUNT_OF_ALL = "5000";

/** Tells whether a SCAN may end before it has looked at all keys; one that is refused does not. */
function scansPart(words: readonly ByteString[]): boolean {
  const at = words.findLastIndex((word, at) => at > 1 && word.toUpperCase() === "COUNT");
  const count = at < 0 ? 1 : Number(words[at + 1]);
  return count > 0 && count < Number(COUNT_OF_ALL);
}

const KEYS: readonly ByteString[] = [
  ...["k1", "k2", "k3", "k4", "k5", "counter", "flags", "text", "other", "{tag}x"],
  fromText("schlüssel"),
  "\x00\xff\r\n",
  "",
];

const INTEGERS: readonly string[] = [
  ...["0", "1", "-1", "2", "7", "8", "10", "42", "100", "-5", "-100", "255", "256", "1000"],
  ...["2147483647", "2147483648", "-2147483649", "4294967295"],
  ...["9007199254740991", "9007199254740993", "9223372036854775806"],
  ...["9223372036854775807", "-9223372036854775808", "9223372036854775808"],
];

const ODD_NUMBERS: readonly string[] = [
  ...["", "a", "+1", "01", "-0", "1 ", " 1", "1.5", "1e3", "0x10", "--1", "99999999999999999999"],
];

/** What is no time to live, or one that is over, or too long. */
const NO_TIMES: readonly string[] = [
  ...["0", "-1", "-100", "a", "", "1.5", "9223372036854775807", "-9223372036854775808"],
  "9223372036854775",
];

const FLOATS: readonly string[] = [
  ...["0.1", "0.2", "-0.3", "3.0e3", "1e-5", "5.", ".5", "-.25", "1e17", "1e-17", "123456789.125"],
  ...["3.14159265358979323846", "0.000000000000000001", "1e20", "-1e300", "1e4900", "inf", "-inf"],
  ...[
    "nan",
    "1e",
    "e1",
    ".",
    "1.2.3",
    "0.30000000000000004",
    "0x10",
    "-0x1.8p3",
    "0x",
    "100000000000000000000001",
    ...["1e-4932", "1e-4950", "3.6e-4951", "-1e-4951", "1e-4960", "1e-9999", "0e-9999"],
    ...["0x1p-16445", "0x1p-16446", "-0x1.8p-16446", "0x1p-17001", "0x1p16383", "0x1p16384"],
    ...[`1${"0".repeat(5050)}e-5050`, `0.${"0".repeat(4960)}1`, `0.${"0".repeat(4900)}1`],
  ],
];

/** Makes the words of one command. */
type Shape = (g: CommandSource) => readonly ByteString[];

/** How each command is used, mostly. */
export const SHAPES: Readonly<Record<string, Shape>> = {
  get: (g) => [g.key],
  set: (g) => [g.key, g.makeValue(), ...g.setOptions()],
  put: (g) => [g.key, g.makeValue()],
  setnx: (g) => [g.key, g.makeValue()],
  setex: (g) => [g.key, g.lifetime, g.makeValue()],
  psetex: (g) => [g.key, `${g.lifetime}000`, g.makeValue()],
  getset: (g) => [g.key, g.makeValue()],
  getdel: (g) => [g.key],
  getex: (g) => [g.key, ...g.some([() => g.expiry(), () => ["PERSIST"], () => []])],
  mget: (g) => g.times(4, () => [g.key]),
  mset: (g) => g.times(3, () => [g.key, g.makeValue()]),
  msetnx: (g) => g.times(2, () => [g.key, g.makeValue()]),
  append: (g) => [g.key, g.makeValue()],
  strlen: (g) => [g.key],
  getrange: (g) => [g.key, g.integer, g.integer],
  substr: (g) => [g.key, g.integer, g.integer],
  setrange: (g) => [g.key, g.some([() => g.small, () => g.small, () => g.integer]), g.makeValue()],
  incr: (g) => [g.key],
  decr: (g) => [g.key],
  incrby: (g) => [g.key, g.integer],
  decrby: (g) => [g.key, g.integer],
  incrbyfloat: (g) => [g.key, g.random.chance(0.8) ? g.random.pick(FLOATS) : g.integer],
  lcs: (g) => [g.key, g.key, ...g.lcsOptions()],
  del: (g) => g.times(3, () => [g.key]),
  delete: (g) => [g.key],
  unlink: (g) => g.times(2, () => [g.key]),
  exists: (g) => g.times(3, () => [g.key]),
  touch: (g) => g.times(3, () => [g.key]),
  type: (g) => [g.key],
  rename: (g) => [g.key, g.key],
  renamenx: (g) => [g.key, g.key],
  copy: (g) => [g.key, g.key, ...g.some([() => [], () => ["REPLACE"], () => ["DB", "0"]])],
  expire: (g) => [g.key, g.lifetime, ...g.conditions()],
  pexpire: (g) => [g.key, `${g.lifetime}000`, ...g.conditions()],
  expireat: (g) => [g.key, g.moment, ...g.conditions()],
  pexpireat: (g) => [g.key, `${g.moment}000`, ...g.conditions()],
  persist: (g) => [g.key],
  ttl: (g) => [g.key],
  pttl: (g) => [g.key],
  expiretime: (g) => [g.key],
  pexpiretime: (g) => [g.key],
  keys: (g) => [g.pattern],
  scan: (g) => ["0", ...g.scanOptions()],
  randomkey: () => [],
  dbsize: () => [],
  flushdb: (g) => g.some([() => [], () => ["ASYNC"], () => ["sync"], () => ["now"]]),
  flushall: (g) => g.some([() => [], () => ["async"], () => ["SYNC"]]),
  setbit: (g) => [g.key, g.bit, g.random.pick(["0", "1", "1", "2", "x"])],
  getbit: (g) => [g.key, g.bit],
  bitcount: (g) => [g.key, ...g.range()],
  bitpos: (g) => [g.key, g.random.pick(["0", "1", "0", "1", "2", "x"]), ...g.range()],
  bitop: (g) => [g.random.pick(["AND", "or", "XOR", "NOT", "x"]), ...g.times(3, () => [g.key])],
  bitfield: (g) => [g.key, ...g.times(3, () => g.fieldOperation(true))],
  bitfield_ro: (g) => [g.key, ...g.times(3, () => g.fieldOperation(false))],
};

/** What is only in dks under this name: Redis answers as for an unknown command. */
const OWN_NAMES: Readonly<Record<string, string>> = { put: "set", delete: "del" };

/** Makes the commands of one stream. */
export class CommandSource {
  readonly random: Random;
  readonly #names: readonly string[];

  /** @param names the commands to use; all that there are shapes for, if not given */
  constructor(seed: number, names: readonly string[] = Object.keys(SHAPES)) {
    this.random = new Random(seed);
    this.#names = names.filter((name) => OWN_NAMES[name] === undefined);
  }

  /** Returns the next command, and what must follow it so that both servers hold the same again. */
  next(): Step[] {
    const picked = this.random.pick(this.#names);
    // All keys go now and then, not all the time.
    const name = picked.startsWith("flush") && this.random.chance(0.8) ? "get" : picked;
    const words = this.#spoiled([this.#spelled(name), ...SHAPES[name]?.(this) ?? []]);
    const difference = DIFFERENCES.find(({ concerns }) => concerns(words));
    if (difference === undefined) {
      const step = { words, comparison: comparisonOf(words) };
      if (!setsExpired(words)) return [step];
      // Redis counts the key until its sweep, or until somebody looks for it; dks deletes it at once.
      return [step, { words: ["EXISTS", words[1] ?? ""], comparison: { kind: "exact" } }];
    }
    const command = COMMANDS.find(words);
    const keys = command === undefined ? [] : keysOf(command, words);
    const { reason } = difference;
    return [
      { words, comparison: { kind: "none", reason } },
      { words: ["DEL", ...keys, "k1"], comparison: { kind: "none", reason } },
    ];
  }

  /** Names are taken in any case of letters. */
  #spelled(name: string): string {
    return this.random.pick([name, name.toUpperCase(), name[0]?.toUpperCase() + name.slice(1)]);
  }

  /** Now and then a word is missing, or there is one too many, or another one. */
  #spoiled(words: ByteString[]): ByteString[] {
    const { random } = this;
    const at = 1 + random.integer(words.length);
    switch (random.integer(40)) {
      case 0:
        words.splice(at, 1);
        break;
      case 1:
        words.splice(at, 0, this.makeValue());
        break;
      case 2:
        if (at < words.length) words[at] = random.pick(ODD_NUMBERS);
        break;
      case 3:
        return words.slice(0, at);
    }
    return words;
  }

  get key(): ByteString {
    return this.random.pick(KEYS);
  }

  /** Strings, numbers among them, and bytes. */
  makeValue(): ByteString {
    const { random } = this;
    switch (random.integer(10)) {
      case 0:
        return "";
      case 1:
      case 2:
      case 3:
        return random.pick(INTEGERS);
      case 4:
        return random.pick(FLOATS);
      case 5:
        return random.pick(ODD_NUMBERS);
      case 6:
        return this.#bytes(random.integer(200));
      case 7:
        return "abcabc".repeat(random.integer(40));
      default:
        return random.pick(["hello", "world", "ohmytext", "mynewtext", fromText("zürich")]);
    }
  }

  #bytes(count: number): ByteString {
    const codes = Array.from({ length: count }, () => this.random.integer(256));
    return String.fromCharCode(...codes);
  }

  get integer(): string {
    if (this.random.chance(0.05)) return this.random.pick(ODD_NUMBERS);
    return this.random.chance(0.4)
      ? String(this.random.integer(40) - 20)
      : this.random.pick(INTEGERS);
  }

  get small(): string {
    return String(this.random.integer(300));
  }

  /** Seconds: long enough that nothing expires while the stream goes on. */
  get lifetime(): string {
    if (this.random.chance(0.15)) return this.random.pick(NO_TIMES);
    return String(this.#seconds());
  }

  /** Some hours, or up to three years. */
  #seconds(): number {
    return 10_000 + LIFETIME_STEP * this.random.integer(LIFETIMES);
  }

  get bit(): string {
    if (this.random.chance(0.1)) return this.integer;
    return String(this.random.integer(400));
  }

  /** A second, long over or far ahead. */
  get moment(): string {
    if (this.random.chance(0.2)) return this.random.pick([...NO_TIMES, "1", "1000000000"]);
    return String(Math.floor(Date.now() / 1000) + this.#seconds());
  }

  conditions(): ByteString[] {
    if (this.random.chance(0.5)) return [];
    return this.times(2, () => [this.random.pick(["NX", "XX", "GT", "LT", "nx", "what"])]);
  }

  /** A time to live, as SET takes it. */
  expiry(): ByteString[] {
    const { random } = this;
    const soon = Math.floor(Date.now() / 1000) + this.#seconds();
    switch (random.integer(9)) {
      case 0:
        return [random.pick(["EX", "PX", "EXAT", "PXAT"])];
      case 1:
        return random.chance(0.5)
          ? [random.pick(["EX", "ex", "PX"]), random.pick(NO_TIMES)]
          : [random.pick(["EXAT", "PXAT"]), this.integer];
      case 2:
      case 3:
        return ["EXAT", String(soon)];
      case 4:
        return ["pxat", `${soon}123`];
      case 5:
        return ["PX", `${this.lifetime}000`];
      default:
        return ["EX", this.lifetime];
    }
  }

  setOptions(): ByteString[] {
    const { random } = this;
    return random.chance(0.3) ? [] : this.times(2, () =>
      this.some([
        () => this.expiry(),
        () => [random.pick(["NX", "nx", "XX", "GET", "get", "KEEPTTL"])],
        () => [random.pick(["NX", "XX", "GET", "KEEPTTL", "PERSIST", "what"])],
      ]));
  }

  get pattern(): ByteString {
    const { random } = this;
    return random.pick([
      ...["*", "k*", "k?", "k[1-3]", "k[^1-3]", "*e*", "[a-z]*[a-z]", "\\k1", "[", "k[1", "k[3-1]"],
      ...["", "?", "*\xc3*", "nothing", "fl\\ags", "k\\", "[\\k]*", "**r"],
    ]);
  }

  scanOptions(): ByteString[] {
    const { random } = this;
    const all = ["COUNT", COUNT_OF_ALL];
    switch (random.integer(6)) {
      case 0:
        return [...all, "MATCH", this.pattern, "TYPE", random.pick(["string", "STRING", "hash"])];
      case 1:
        return ["COUNT", random.pick(["0", "-1", "a"])];
      case 2:
        return [random.pick(["MATCH", "COUNT", "x"])];
      default:
        return [...all, "match", this.pattern];
    }
  }

  lcsOptions(): ByteString[] {
    const { random } = this;
    return this.times(2, () =>
      this.some([
        () => [],
        () => [random.pick(["LEN", "IDX", "idx", "WITHMATCHLEN"])],
        () => ["MINMATCHLEN", this.integer],
        () => ["IDX", "WITHMATCHLEN"],
      ]));
  }

  range(): ByteString[] {
    const { random } = this;
    switch (random.integer(6)) {
      case 0:
        return [];
      case 1:
        return [this.integer];
      case 2:
      case 3:
        return [this.integer, this.integer];
      default:
        return [this.integer, this.integer, random.pick(["BIT", "BYTE", "bit", "x"])];
    }
  }

  fieldOperation(writes: boolean): ByteString[] {
    const { random } = this;
    const type = random.chance(0.9)
      ? `${random.pick(["i", "u"])}${1 + random.integer(64)}`
      : random.pick(["u64", "i64", "i65", "u0", "x8", "u", "u08"]);
    const place = random.chance(0.1)
      ? this.bit
      : `${random.chance(0.3) ? "#" : ""}${random.integer(random.chance(0.5) ? 10 : 200)}`;
    if (!writes || random.chance(0.3)) return [random.pick(["GET", "get"]), type, place];
    const overflow = random.chance(0.5)
      ? ["OVERFLOW", random.pick(["WRAP", "SAT", "FAIL", "sat", "what"])]
      : [];
    return [...overflow, random.pick(["SET", "INCRBY"]), type, place, this.integer];
  }

  /** Returns what one of `makers` makes. */
  some<Item>(makers: readonly (() => Item)[]): Item {
    return this.random.pick(makers)();
  }

  /** Returns what `make` makes, once to `max` times. */
  times(max: number, make: () => readonly ByteString[]): ByteString[] {
    return Array.from({ length: 1 + this.random.integer(max) }, make).flat();
  }
}

/** Tells whether a SET may give its key a time that is long over. */
function setsExpired(words: readonly ByteString[]): boolean {
  return nameOf(words) === "set" &&
    words.some((word, at) =>
      at > 2 && /^[ep]xat$/i.test(word) && isOver(words[at + 1] ?? "", word)
    );
}

function isOver(time: ByteString, unit: ByteString): boolean {
  const ms = Number(time) * (unit.toLowerCase() === "pxat" ? 1 : 1000);
  return ms > 0 && ms < Date.now();
}

/** Returns how the replies to a command are compared that is on no list. */
function comparisonOf(words: readonly ByteString[]): Comparison {
  switch (nameOf(words)) {
    case "keys":
    case "scan":
      return { kind: "unordered" };
    case "ttl":
    case "expiretime":
      return { kind: "near", by: 2 };
    case "pttl":
    case "pexpiretime":
      return { kind: "near", by: 2000 };
    default:
      return { kind: "exact" };
  }
}
