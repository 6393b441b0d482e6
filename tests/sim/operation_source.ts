/**
 * Which operations clients ask for: those of a workload, drawn one after the other.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import * as commands from "./client_commands.ts";
import type { ClientCommand } from "./client_commands.ts";
import {
  ACCOUNTS,
  bare,
  copy,
  EXPIRING,
  exportOf,
  flush,
  get,
  getSet,
  hold,
  increment,
  once,
  type Operation,
  PADDING,
  set,
  setIf,
  transfer,
} from "./operations.ts";
import type { Random } from "./random.ts";
import type { Workload } from "./scenario.ts";
import { BEGIN_WALL_MS } from "./sim_node.ts";

/** For how long values are set, in milliseconds. */
const HOLD_MS: readonly number[] = [30, 300, 1000, 4000];
const LIFETIMES_MS: readonly number[] = [30, 100, 400, 4000];

/** @param condition the empty one is none */
function withCondition(words: readonly ByteString[], condition: string): readonly ByteString[] {
  return condition === "" ? words : [...words, condition];
}

/** Makes the operations of a workload. */
export class OperationSource {
  readonly #random: Random;
  readonly #nowMs: () => number;
  readonly #workload: Workload;
  readonly #valueBytesMax: number;
  #values = 0;
  #tokens = 0;
  /** Connections, scans, numbers and times to live that have got a name. */
  #names = 0;

  /** @param by `nowMs`: virtual time, in milliseconds */
  constructor(
    { workload, valueBytesMax }: { workload: Workload; valueBytesMax: number },
    { random, nowMs }: { random: Random; nowMs: () => number },
  ) {
    this.#workload = workload;
    this.#valueBytesMax = valueBytesMax;
    this.#random = random;
    this.#nowMs = nowMs;
  }

  next(): Operation {
    const kinds = ["registers", "hot", "counters", "multi", "transfers", "many"] as const;
    const kind = this.#workload === "mixed" ? this.#random.pick(kinds) : this.#workload;
    switch (kind) {
      case "registers":
        return this.#onOneKey(`r${this.#random.integer(4)}`, { reads: 0.5 });
      case "hot":
        return this.#onOneKey("hot", { reads: 0.3 });
      case "many":
        return this.#onOneKey(`m${this.#random.integer(40)}`, { reads: 0.4 });
      case "counters": {
        const key = `c${this.#random.integer(2)}`;
        return this.#random.chance(0.7) ? increment(key) : get(key);
      }
      case "multi":
        return this.#onSeveralKeys();
      case "expiry":
        return this.#expiry();
      case "commands":
        return this.#commands();
      case "once":
        return this.#once();
      case "transfers":
        if (this.#random.chance(0.6)) return this.#transfer();
        return this.#random.chance(0.1) ? exportOf(...ACCOUNTS) : get(...ACCOUNTS);
    }
  }

  /** What must not be done twice, and now and then something else with the same keys. */
  #once(): Operation {
    const key = `o${this.#random.integer(2)}`;
    switch (this.#random.integer(9)) {
      case 0:
        return get(key);
      case 1:
        return increment(key);
      case 2:
        return once(setIf(`${key}x`, this.#value, "NX"), this.#token);
      case 3:
        return set([`${key}x`], undefined);
      case 4:
        return once(this.#transfer(), this.#token);
      case 5:
        return get(...ACCOUNTS);
      case 6:
        return commands.execOnce(
          [{ words: ["INCR", "o0"] }, { words: ["INCR", "o1"] }],
          this.#token,
        );
      default:
        return once(increment(key), this.#token);
    }
  }

  #expiry(): Operation {
    const key = this.#random.pick(EXPIRING);
    switch (this.#random.integer(12)) {
      case 0:
        return set([key], this.#value);
      case 1:
        return setIf(key, this.#value, "NX");
      case 2:
        return getSet(key, this.#value);
      case 3:
        return get(...EXPIRING);
      case 4:
        return this.#random.chance(0.4) ? flush() : setIf(key, this.#value, "XX");
      case 5:
      case 6:
      case 7:
        return hold(key, this.#value, this.#random.pick(HOLD_MS));
      default:
        return get(key);
    }
  }

  /** Commands of the node itself, alone and in transactions. */
  #commands(): Operation {
    const kind = this.#random.integer(16);
    if (kind === 12) return commands.execOnce(this.#forOnce(3), this.#token);
    if (kind === 13) return this.#flush();
    if (kind === 14) return this.#lifetime();
    if (kind === 15) return commands.once(this.#random.pick(this.#forOnce(2)), this.#token);
    if (kind < 5) return commands.command(this.#command());
    if (kind < 6) return commands.exec(this.#several(2));
    if (kind < 9) return this.#watch();
    if (kind < 10) return commands.scan(++this.#names, 1 + this.#random.integer(2));
    const key = this.#random.pick(commands.STAYING);
    const set = { words: ["SET", key, this.#value] };
    return this.#random.chance(0.6)
      ? commands.command(set)
      : commands.exec([{ words: ["DEL", key] }, set]);
  }

  /** A transaction with WATCH; now and then of a key that the client has set just before, for a short time. */
  #watch(): Operation {
    const drawn = commands.MOVING.filter(() => this.#random.chance(0.4));
    const [first = "x0"] = drawn;
    const token = this.#random.chance(0.3) ? this.#token : undefined;
    const words = [token === undefined ? this.#random.pick(["GET", "INCR"]) : "INCR", first];
    const several = (count: number) =>
      token === undefined ? this.#several(count) : this.#forOnce(count);
    const watch = commands.watch(drawn.length === 0 ? [first] : drawn, {
      session: ++this.#names,
      looks: this.#random.chance(0.7),
      thinkMs: this.#random.pick([0, 0, 40, 400]),
      commands: this.#random.chance(0.7) ? [{ words }, ...several(1)] : several(2),
      token,
    });
    if (this.#random.chance(0.5)) return watch;
    return { ...commands.command(this.#setForAWhile(first, 30)), next: () => watch };
  }

  #several(count: number): readonly ClientCommand[] {
    return Array.from({ length: count + this.#random.integer(2) }, () => this.#command());
  }

  #command(): ClientCommand {
    const [key = "", other = ""] = this.#twoOf(commands.MOVING);
    const kind = this.#random.integer(18);
    if (kind === 14) return { words: ["GETDEL", key] };
    if (kind === 15) return { words: ["APPEND", key, bare(this.#value)] };
    if (kind > 15) return this.#ofLifetimes(key);
    if (kind < 2) return { words: ["SET", key, this.#value] };
    if (kind < 5) return this.#setForAWhile(key, this.#random.pick(LIFETIMES_MS));
    if (kind < 6) return { words: ["DEL", key] };
    if (kind < 8) return { words: ["INCR", key] };
    if (kind < 9) return { words: ["RENAME", key, other] };
    if (kind < 10) return { words: ["RENAMENX", key, other] };
    if (kind < 11) return { words: ["COPY", key, other, "REPLACE"] };
    return kind < 12 ? { words: ["MGET", ...commands.MOVING] } : { words: ["GET", key] };
  }

  #lifetime(): Operation {
    const key = this.#random.pick(commands.MOVING);
    if (this.#random.chance(0.4)) return this.#prolonged(key);
    const isMoment = this.#random.chance(0.4);
    return commands.command(isMoment ? this.#untilMoment(key) : this.#ofLifetimes(key));
  }

  /** A value that is set for a while, gets another time to live, or none, and is looked at after the first. */
  #prolonged(key: ByteString): Operation {
    const ms = 400;
    const longer = this.#random.chance(0.6)
      ? { words: ["PERSIST", key] }
      : this.#longer(key, this.#random.pick(["XX", "GT", ""]));
    const look = this.#random.chance(0.5) ? { words: ["GET", key] } : this.#longer(key, "NX");
    const then = { ...commands.command(longer), thinkMs: ms, next: () => commands.command(look) };
    return { ...commands.command(this.#setForAWhile(key, ms)), next: () => then };
  }

  #flush(): Operation {
    const name = this.#random.pick(["FLUSHALL", "FLUSHALL", "FLUSHDB"]);
    return commands.flushAll({ name, token: this.#random.chance(0.3) ? this.#token : undefined });
  }

  /** Gives a value that is there a time to live that ends at a moment, whatever node is asked for that. */
  #untilMoment(key: ByteString): ClientCommand {
    const ms = this.#random.pick(LIFETIMES_MS);
    const untilMs = Math.ceil(this.#nowMs() + ms);
    const words = ["PEXPIREAT", key, String(BEGIN_WALL_MS + untilMs)];
    return {
      words: withCondition(words, this.#random.pick(["NX", "XX", ""])),
      lifetime: { name: String(++this.#names), untilMs },
    };
  }

  /** Gives a value that is there another time to live, or none. */
  #ofLifetimes(key: ByteString): ClientCommand {
    if (this.#random.chance(0.3)) return { words: ["PERSIST", key] };
    if (this.#random.chance(0.1)) {
      const time = this.#random.pick([["PEXPIREAT", key, "1"], ["EXPIRE", key, "-1000"]]);
      return { words: [...time, ...this.#random.pick([["LT"], ["GT"], []])] };
    }
    const condition = this.#random.pick(["NX", "XX", "GT", "LT", ""]);
    // Which of two short ones is longer depends on the clocks.
    const isLong = condition === "GT" || condition === "LT" || this.#random.chance(0.3);
    if (isLong) return this.#longer(key, condition);
    const lifetime = { name: String(++this.#names), ms: this.#random.pick(LIFETIMES_MS) };
    return { words: withCondition(["PEXPIRE", key, String(lifetime.ms)], condition), lifetime };
  }

  /** Gives a value a time to live that is over after the run. */
  #longer(key: ByteString, condition: string): ClientCommand {
    const lifetime = commands.longLifetime(++this.#names);
    const seconds = lifetime.ms / 1000;
    const time = this.#random.pick([
      ["PEXPIRE", key, String(lifetime.ms)],
      ["EXPIRE", key, String(seconds)],
      ["EXPIREAT", key, String(BEGIN_WALL_MS / 1000 + seconds)],
      ["PEXPIREAT", key, String(BEGIN_WALL_MS + lifetime.ms)],
    ]);
    return { words: withCondition(time, condition), lifetime };
  }

  /** One or more for DKS.ONCE, which stores the replies: no value is among them, as those may be long. */
  #forOnce(count: number): readonly ClientCommand[] {
    return this.#several(count)
      .filter(({ words: [name = ""] }) => !/GET/.test(name))
      .concat({ words: ["INCR", this.#random.pick(commands.MOVING)] });
  }

  #setForAWhile(key: ByteString, ms: number): ClientCommand {
    const number = ++this.#names;
    const value = this.#random.chance(0.5) ? String(1000 * number) : this.#value;
    const lifetime = { name: String(number), ms };
    return { words: ["SET", key, value, "PX", String(ms)], lifetime };
  }

  #twoOf(keys: readonly ByteString[]): readonly ByteString[] {
    const first = this.#random.integer(keys.length);
    const second = (first + 1 + this.#random.integer(keys.length - 1)) % keys.length;
    return [keys[first] ?? "", keys[second] ?? ""];
  }

  get #token(): ByteString {
    return `t${++this.#tokens}`;
  }

  /** Every value is written once, so that a read tells which write it saw. */
  get #value(): ByteString {
    const value = `v${++this.#values}`;
    if (this.#valueBytesMax === 0 || this.#random.chance(0.5)) return value;
    return value.padEnd(Math.floor(this.#random.skewed(10, this.#valueBytesMax)), PADDING);
  }

  #onOneKey(key: ByteString, options: { reads: number }): Operation {
    if (this.#random.chance(options.reads)) return get(key);
    switch (this.#random.integer(8)) {
      case 0:
        return set([key], undefined);
      case 1:
        return setIf(key, this.#value, "NX");
      case 2:
        return setIf(key, this.#value, "XX");
      case 3:
        return getSet(key, this.#value);
      default:
        return set([key], this.#value);
    }
  }

  #onSeveralKeys(): Operation {
    const keys = ["a", "b", "c", "d"].filter(() => this.#random.chance(0.5));
    const [first = "a", second = "b"] = keys;
    switch (this.#random.integer(7)) {
      case 0:
        return set([first], this.#value);
      case 1:
        return get(first);
      case 2:
        return copy(first, first === second ? "e" : second);
      case 3:
        return set(
          keys.length === 0 ? ["d"] : keys,
          this.#random.chance(0.3) ? undefined : this.#value,
        );
      case 4:
        return this.#random.chance(0.3) ? exportOf("a", "b", "c", "d") : get("a", "b", "c", "d");
      default:
        return set(keys.length < 2 ? ["a", "c"] : keys, this.#value);
    }
  }

  #transfer(): Operation {
    const from = this.#random.integer(ACCOUNTS.length);
    const to = (from + 1 + this.#random.integer(ACCOUNTS.length - 1)) % ACCOUNTS.length;
    const amount = 1 + this.#random.integer(60);
    return transfer(`account${from}`, `account${to}`, amount);
  }
}
