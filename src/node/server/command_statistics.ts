/**
 * What a node counts of the commands of its clients, for INFO, SLOWLOG, LATENCY and MONITOR.
 *
 * Counters are plain numbers. A clock is read for every command that may take long, and for one in
 * {@linkcode SAMPLE_EVERY} of those that are as frequent and as short as GET and SET: two readings of the
 * clock would cost them more than all the rest of this. What is timed is how long the node was busy with
 * a command when it came, as in Redis: not how long a write waited for the other nodes.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { now } from "../../clock.ts";
import { EncodedPush } from "../../resp/encoder.ts";
import { SimpleString } from "../../resp/value.ts";
import type { KeyReader, ReadRequest } from "../../two_phase/request.ts";
import type { Command, Session } from "../commands/command.ts";
import { COMMANDS } from "../commands/table.ts";
import { LatencyMonitor } from "./latency_monitor.ts";
import { shortened, SlowLog } from "./slow_log.ts";

/** One in so many of the short commands is timed; a power of two. */
export const SAMPLE_EVERY = 16;

/** So many different first words of errors are counted; clients choose none of them. */
const ERRORS_MAX = 128;

/** As in Redis: what takes 10 ms is slow, and the latest 128 are kept. */
const SLOW_MICROS = 10_000;
const SLOW_LOG_LENGTH = 128;

/** Buckets of times: so many for each doubling, from 1 µs on. */
const BUCKETS_PER_DOUBLING = 4;
const BUCKETS = 36 * BUCKETS_PER_DOUBLING;

/** Bounds of the times of a command that are told: up to 4 s. */
const TIME_BOUNDS = 12;

/** How many calls took how long, in microseconds. */
export interface TimesOfCommand {
  readonly buckets: readonly { readonly bound: number; readonly count: number }[];
  readonly count: number;
  readonly sum: number;
}

/** What is counted of one command. */
export class CommandCounts {
  calls = 0;
  /** It did not pass the gate. */
  rejected = 0;
  /** It was answered with an error. */
  failed = 0;
  /** It is not timed each time. */
  readonly isShort: boolean;
  readonly isFast: boolean;
  readonly name: string;
  /** No entry of SLOWLOG and no line of MONITOR tells its words. */
  readonly isSecret: boolean;
  /** SLOWLOG does not tell of it; MONITOR may. */
  readonly isSkippedBySlowLog: boolean;
  #timed = 0;
  #timedMicros = 0;
  readonly #buckets = new Uint32Array(BUCKETS);

  constructor({ name, flags, keys }: Command) {
    this.name = name;
    this.isFast = flags.includes("fast");
    this.isShort = name === "set" || (this.isFast && keys.first === keys.last);
    this.isSecret = flags.includes("admin") || name === "auth" || name === "hello";
    this.isSkippedBySlowLog = this.isSecret || flags.includes("skip_slowlog");
  }

  took(micros: number): void {
    this.#timed++;
    this.#timedMicros += micros;
    const bucket = Math.ceil(BUCKETS_PER_DOUBLING * Math.log2(Math.max(1, micros)));
    const at = Math.min(bucket, BUCKETS - 1);
    this.#buckets[at] = (this.#buckets[at] ?? 0) + 1;
  }

  /** The mean of those that were timed. */
  get microsPerCall(): number {
    return this.#timed === 0 ? 0 : this.#timedMicros / this.#timed;
  }

  /** The calls that were timed, as a histogram in microseconds: each bound is four times the one before. */
  get times(): TimesOfCommand {
    let count = 0;
    let at = 0;
    const buckets = Array.from({ length: TIME_BOUNDS }, (_, index) => {
      const last = 2 * index * BUCKETS_PER_DOUBLING;
      for (; at <= last; at++) count += this.#buckets[at] ?? 0;
      return { bound: 4 ** index, count };
    });
    return { buckets, count: this.#timed, sum: this.#timedMicros };
  }

  /** Returns a time that so much of the timed calls did not exceed, in microseconds. */
  percentile(percent: number): number {
    let left = Math.max(1, Math.ceil(this.#timed * percent / 100));
    const at = this.#buckets.findIndex((count) => (left -= count) <= 0);
    return at < 0 ? 0 : 2 ** (at / BUCKETS_PER_DOUBLING);
  }
}

/** The counts of one node. */
export class CommandStatistics {
  keyspaceHits = 0;
  keyspaceMisses = 0;
  inputBytes = 0;
  outputBytes = 0;
  /** How many replies were errors. */
  errorReplies = 0;
  readonly slowLog = new SlowLog(SLOW_LOG_LENGTH);
  readonly latency = new LatencyMonitor();
  #slowMicros = SLOW_MICROS;
  /** By {@linkcode Command.index}. */
  #counts: (CommandCounts | undefined)[] = [];
  #errors = new Map<string, number>();
  readonly #monitors = new Set<Session>();

  /** Returns the counts of a command. */
  of(index: number): CommandCounts | undefined {
    const known = this.#counts[index];
    if (known !== undefined) return known;
    const command = COMMANDS.withIndex(index);
    return command === undefined ? undefined : this.#counts[index] = new CommandCounts(command);
  }

  /** All commands that were called or refused. */
  get commands(): readonly CommandCounts[] {
    return this.#counts.filter((one) => one !== undefined);
  }

  /** How often each first word of an error was sent. */
  get errors(): ReadonlyMap<string, number> {
    return this.#errors;
  }

  /** What takes so long is slow, in microseconds; negative: nothing is. */
  get slowMicros(): number {
    return this.#slowMicros;
  }

  set slowMicros(micros: number) {
    this.#slowMicros = micros;
  }

  /** Tells whether this call is to be timed. */
  isTimed({ isShort, calls }: CommandCounts): boolean {
    if (!isShort || calls % SAMPLE_EVERY === 1) return true;
    // Who asks for short times wants all of them.
    return (this.#slowMicros >= 0 && this.#slowMicros < SLOW_MICROS) ||
      this.latency.thresholdMs > 0;
  }

  /** A call has taken so long. */
  took(
    counts: CommandCounts,
    ms: number,
    about: { words: readonly ByteString[]; of: Session },
  ): void {
    const micros = 1000 * ms;
    counts.took(micros);
    this.latency.note(counts.isFast ? "fast-command" : "command", ms, about.of.node.wallMs());
    if (this.#slowMicros < 0 || micros < this.#slowMicros || counts.isSkippedBySlowLog) return;
    this.slowLog.add({
      atSeconds: Math.floor(about.of.node.wallMs() / 1000),
      micros: Math.round(micros),
      words: about.words,
      address: about.of.connection.address,
      name: about.of.name,
    });
  }

  onError(code: string): void {
    this.errorReplies++;
    const count = this.#errors.get(code);
    if (count !== undefined || this.#errors.size < ERRORS_MAX) {
      this.#errors.set(code, (count ?? 0) + 1);
    }
  }

  /** Returns the request with each key counted that it looks for. */
  counted(request: ReadRequest): ReadRequest {
    return {
      kind: "read",
      keys: request.keys,
      evaluate: (read, facts) => {
        const counting: KeyReader = (key) => {
          const value = read(key);
          if (value === undefined) this.keyspaceMisses++;
          else this.keyspaceHits++;
          return value;
        };
        return request.evaluate(counting, facts);
      },
    };
  }

  /** CONFIG RESETSTAT. */
  reset(): void {
    this.keyspaceHits = 0;
    this.keyspaceMisses = 0;
    this.inputBytes = 0;
    this.outputBytes = 0;
    this.errorReplies = 0;
    this.#counts = [];
    this.#errors = new Map();
  }

  // --- MONITOR -------------------------------------------------------------------------------

  get hasMonitors(): boolean {
    return this.#monitors.size > 0;
  }

  /** Tells `session` of all commands from now on, until it is closed or reset. */
  monitor(session: Session): void {
    this.#monitors.add(session);
  }

  /** Tells the monitors of a command, in a line of bounded length. */
  show(counts: CommandCounts, words: readonly ByteString[], of: Session): void {
    if (counts.isSecret) return;
    const time = (of.node.wallMs() / 1000).toFixed(6);
    const shown = shortened(words).map(repr).join(" ");
    const line = `${time} [0 ${of.connection.address}] ${shown}`;
    const push = new EncodedPush(new SimpleString(line));
    for (const monitor of this.#monitors) {
      if (monitor.isClosing || monitor.features?.isMonitor !== true) this.#monitors.delete(monitor);
      else monitor.tell(push);
    }
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  '"': '\\"',
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\x07": "\\a",
  "\b": "\\b",
};

/** Returns a word in quotes, as Redis shows binary strings. */
function repr(word: ByteString): string {
  const escaped = word.replaceAll(/[\\"]|[^\x20-\x7e]/g, (char) => {
    const hex = char.charCodeAt(0).toString(16).padStart(2, "0");
    return ESCAPES[char] ?? `\\x${hex}`;
  });
  return `"${escaped}"`;
}

/** Runs `action`, and returns how long it took, in milliseconds. */
export function timed(action: () => void): number {
  const beganAt = now();
  action();
  return now() - beganAt;
}
