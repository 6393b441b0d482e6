/**
 * `bench`: loads any server of the Redis protocol for a time, and measures it.
 *
 * **Closed loop** (no rate): each client keeps `pipeline` requests under way, and sends the next when a
 * reply comes. A server that stands still is then asked little, so few of its long latencies are seen.
 *
 * **Open loop** (`rate`): requests are due at fixed times, whatever the server does. One that cannot be
 * sent when it is due, as its client waits for earlier replies, is measured from then: its waiting counts.
 * One that was never sent counts with the time that it has waited, which is a lower bound.
 *
 * Memory is bounded: by the requests under way ({@linkcode BENCH_BYTES_MAX}), and histograms of fixed size.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import type { Address } from "../address.ts";
import type { ByteString } from "../byte_string.ts";
import { now } from "../clock.ts";
import { UsageError } from "../errors.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import type { TlsKeys } from "../tls.ts";
import { BenchConnection, type ReplyObserver } from "./bench_connection.ts";
import { DATA_PLACE, KEY_PLACE, RandomWords, RequestTemplate } from "./bench_requests.ts";
import { ConnectionError } from "./connection.ts";
import type { Credentials } from "./credentials.ts";
import { LatencyHistogram, type LatencySummary } from "./latency_histogram.ts";
import { formatNumber, formatTable } from "./table.ts";

/** Most bytes of requests that may be under way over all clients. */
export const BENCH_BYTES_MAX = 1024 * 1024 * 1024;

/** How often due requests are sent, in milliseconds: the finest that timers are. */
const TICK_MS = 1;

/**
 * A request that leaves at most this much after it was due, though its client could have sent it then, is
 * late by this program's timers: that time is not the server's, and does not count. In milliseconds.
 */
const TIMER_LATE_MS = 2;

/** How often clients without a connection try to connect, and the live line is drawn, in milliseconds. */
const RECONNECT_MS = 100;
const LIVE_MS = 1000;

/** How long to wait for replies when the user has ended the run, in milliseconds. */
const LAST_REPLIES_MS = 1000;

/** Most requests of one client that were never sent and are added to the histogram singly. */
const UNSENT_STEPS_MAX = 1000;

/** How many different words of errors are told from others. */
const ERROR_WORDS_MAX = 32;
const OTHER_ERRORS = "(other)";

/** What requests count as that were under way when their connection broke. */
const CONNECTION_ERROR = "CONNECTION";

/** What is sent, and how. */
export interface BenchOptions {
  /** Clients are spread over them evenly. */
  readonly addresses: readonly Address[];
  readonly clients: number;
  /** Most requests that each client has under way at a time. */
  readonly pipeline: number;
  /** Size of values, in bytes. */
  readonly size: number;
  /** How many different keys there are. */
  readonly keys: number;
  /** How many SETs there are for how many GETs. */
  readonly ratio: readonly [sets: number, gets: number];
  /** Sent instead of both; its words may have `__key__` and `__data__` in them. */
  readonly command?: readonly ByteString[] | undefined;
  /** Requests per second over all clients; as fast as they are answered, if not given. */
  readonly rate?: number | undefined;
  readonly durationMs: number;
  /** How long a reply may take before the connection is given up. */
  readonly timeoutMs: number;
  readonly credentials?: Credentials | undefined;
  readonly tls?: TlsKeys | undefined;
  /** Ends the run before its time; what was measured until then is reported. */
  readonly signal?: AbortSignal;
  /** Is told of each second, if given. */
  readonly onSecond?: (line: string) => void;
}

/** The results of one command. Latencies are those of replies that are no errors, in milliseconds. */
export interface CommandReport extends LatencySummary {
  readonly command: string;
  /** Replies that are null: keys that do not exist. */
  readonly notFound: number;
}

/** The results of a run. */
export interface BenchReport {
  readonly commands: readonly CommandReport[];
  readonly clients: number;
  readonly pipeline: number;
  /** Bytes of a value, and the number of keys. */
  readonly size: number;
  readonly keys: number;
  /** The rate that was asked for; `null` if none was. */
  readonly rate: number | null;
  readonly seconds: number;
  /** Replies that came within these seconds and are no errors, and how many that is in a second. */
  readonly count: number;
  readonly perSecond: number;
  /** Requests that were answered by an error, or not at all. */
  readonly failed: number;
  /** The same, by the first word of the error. */
  readonly errors: Readonly<Record<string, number>>;
  /** Requests that were due and never sent; each is in the latencies with the time that it has waited. */
  readonly unsent: number;
}

/**
 * Runs the load.
 *
 * @throws {UsageError} if requests under way could take more than {@linkcode BENCH_BYTES_MAX}.
 * @throws {ConnectionError} if an address cannot be reached at the start, or does not let the client in.
 */
export async function bench(options: BenchOptions): Promise<BenchReport> {
  return await new Bench(options).run();
}

/** A command, and its results so far. */
class Tally {
  readonly latencies = new LatencyHistogram();
  notFound = 0;

  constructor(readonly request: RequestTemplate) {}
}

/** One client: its connection, and when its next request is due. */
interface Client {
  connection: BenchConnection | undefined;
  /** How many of its requests have been due and sent; only with a rate. */
  sent: number;
  readonly index: number;
}

class Bench implements ReplyObserver {
  readonly #options: BenchOptions;
  readonly #tallies: readonly Tally[];
  /** The part of requests that are of the first kind. */
  readonly #firstShare: number;
  readonly #errors = new Map<string, number>();
  readonly #clients: readonly Client[];
  readonly #byConnection = new Map<BenchConnection, Client>();
  /** Latencies of this second; kept only if somebody is told of it. */
  readonly #recent: LatencyHistogram | undefined;
  #beganAt = 0;
  #endsAt = Infinity;
  #count = 0;
  #isOver = false;

  constructor(options: BenchOptions) {
    const { clients, pipeline, size, keys, ratio: [sets, gets], command } = options;
    this.#options = options;
    const random = new RandomWords({ keys, bytes: size });
    const commands = command !== undefined ? [command] : [
      ...sets > 0 ? [["SET", KEY_PLACE, DATA_PLACE]] : [],
      ...gets > 0 ? [["GET", KEY_PLACE]] : [],
    ];
    this.#tallies = commands.map((words) => new Tally(new RequestTemplate(words, random)));
    this.#firstShare = commands.length === 1 ? 1 : sets / (sets + gets);
    const largest = Math.max(...this.#tallies.map(({ request }) => request.bytes));
    if (largest * clients * pipeline > BENCH_BYTES_MAX) {
      throw new UsageError(
        `${clients} clients with ${pipeline} requests of ${largest} bytes under way take more than ` +
          `${BENCH_BYTES_MAX} bytes: choose a smaller --clients, --pipeline or --size`,
      );
    }
    this.#clients = Array.from(
      { length: clients },
      (_, index) => ({ connection: undefined, sent: 0, index }),
    );
    this.#recent = options.onSecond === undefined ? undefined : new LatencyHistogram();
  }

  async run(): Promise<BenchReport> {
    const { durationMs, signal } = this.#options;
    try {
      await this.#connectAll();
      this.#beganAt = now();
      this.#endsAt = this.#beganAt + durationMs;
      for (const client of this.#clients) this.#fill(client);
      const ticking = setInterval(() => this.#tick(), this.#isPaced ? TICK_MS : RECONNECT_MS);
      const telling = setInterval(() => this.#tell(), LIVE_MS);
      try {
        const options = signal === undefined ? {} : { signal };
        await delay(durationMs, options).catch(() => {}); // It was ended early.
        this.#isOver = true;
        const endedAt = Math.min(now(), this.#endsAt);
        this.#endsAt = endedAt;
        const count = this.#count;
        const unsent = this.#countUnsent(endedAt);
        await this.#drain();
        return this.#report({ seconds: (endedAt - this.#beganAt) / 1000, count, unsent });
      } finally {
        clearInterval(ticking);
        clearInterval(telling);
      }
    } finally {
      this.#isOver = true;
      for (const { connection } of this.#clients) connection?.close();
    }
  }

  get #isPaced(): boolean {
    return this.#options.rate !== undefined;
  }

  async #connectAll(): Promise<void> {
    const opening = await Promise.allSettled(this.#clients.map((client) => this.#open(client)));
    for (const one of opening) if (one.status === "rejected") throw one.reason;
  }

  /** @param turn each one goes to the next address */
  async #open(client: Client, turn = 0): Promise<void> {
    const { addresses, pipeline, credentials, tls } = this.#options;
    const address = addresses[(client.index + turn) % addresses.length];
    if (address === undefined) throw new ConnectionError("there is no address", false);
    const connection = await BenchConnection.open({
      ...{ address, window: pipeline, observer: this, credentials, tls },
    });
    if (this.#isOver) return connection.close();
    client.connection = connection;
    this.#byConnection.set(connection, client);
  }

  async #reopen(client: Client): Promise<void> {
    for (let turn = 0; !this.#isOver; turn++) {
      try {
        await this.#open(client, turn);
        return this.#fill(client);
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
      }
      await delay(RECONNECT_MS);
    }
  }

  // --- sending

  #tick(): void {
    const time = now();
    for (const client of this.#clients) {
      if (this.#isPaced) this.#fill(client);
      client.connection?.checkTime(time, this.#options.timeoutMs);
    }
  }

  /** Sends what the client may send now. */
  #fill(client: Client): void {
    const { connection } = client;
    if (connection === undefined || this.#isOver) return;
    const time = now();
    if (time >= this.#endsAt) return;
    if (!this.#isPaced) {
      for (let room = connection.room; room > 0; room--) this.#send(connection, time);
      return;
    }
    for (let room = connection.room; room > 0; room--) {
      const dueAt = this.#dueAt(client);
      if (dueAt > time) return;
      const isOwnDelay = connection.roomSince <= dueAt && time - dueAt <= TIMER_LATE_MS;
      this.#send(connection, isOwnDelay ? time : dueAt);
      client.sent++;
    }
  }

  /** When the client's next request is due. Clients take turns. */
  #dueAt({ sent, index }: Client): number {
    const { rate = Infinity, clients } = this.#options;
    return this.#beganAt + (sent * clients + index) / rate * 1000;
  }

  #send(connection: BenchConnection, startedAt: number): void {
    const kind = this.#chooseKind();
    const request = this.#tallies[kind]?.request.encode() ?? "";
    connection.send(request, kind, startedAt);
  }

  #chooseKind(): number {
    return this.#firstShare === 1 || Math.random() < this.#firstShare ? 0 : 1;
  }

  /** Adds the requests that were due by `endedAt` and not sent, and returns how many these are. */
  #countUnsent(endedAt: number): number {
    const { rate, clients } = this.#options;
    if (rate === undefined) return 0;
    const intervalMs = clients / rate * 1000;
    let unsent = 0;
    for (const client of this.#clients) {
      const longestMs = endedAt - this.#dueAt(client);
      // What the last tick would have sent, had the time not been over, is not late.
      if (longestMs <= TIMER_LATE_MS) continue;
      const missing = Math.floor(longestMs / intervalMs) + 1;
      unsent += missing;
      const times = Math.ceil(missing / UNSENT_STEPS_MAX);
      for (let at = 0; at < missing; at += times) {
        this.#tallies[this.#chooseKind()]?.latencies.add(
          longestMs - at * intervalMs,
          Math.min(times, missing - at),
        );
      }
    }
    return unsent;
  }

  /** Waits for the replies to what is under way. */
  async #drain(): Promise<void> {
    const isEndedEarly = this.#options.signal?.aborted === true;
    const endAt = now() + (isEndedEarly ? LAST_REPLIES_MS : this.#options.timeoutMs);
    const underWay = () =>
      this.#clients.reduce((sum, { connection }) => sum + (connection?.underWay ?? 0), 0);
    while (underWay() > 0 && now() < endAt) await delay(TICK_MS);
    const left = underWay();
    if (left > 0 && !isEndedEarly) this.#countError(CONNECTION_ERROR, left);
  }

  // --- ReplyObserver

  onReply(reply: RespValue, kind: number, startedAt: number): void {
    if (reply instanceof ErrorReply) return this.#countError(reply.code, 1);
    const tally = this.#tallies[kind];
    if (tally === undefined) return;
    const ms = now() - startedAt;
    tally.latencies.add(ms);
    if (reply === null) tally.notFound++;
    this.#recent?.add(ms);
    this.#count++;
  }

  onTurn(connection: BenchConnection): void {
    const client = this.#byConnection.get(connection);
    if (client !== undefined) this.#fill(client);
  }

  onBreak(connection: BenchConnection, unanswered: number): void {
    const client = this.#byConnection.get(connection);
    this.#byConnection.delete(connection);
    if (client === undefined) return;
    client.connection = undefined;
    this.#countError(CONNECTION_ERROR, Math.max(1, unanswered));
    if (!this.#isOver) this.#reopen(client);
  }

  #countError(word: string, times: number): void {
    const isNew = !this.#errors.has(word);
    const key = isNew && this.#errors.size >= ERROR_WORDS_MAX ? OTHER_ERRORS : word;
    this.#errors.set(key, (this.#errors.get(key) ?? 0) + times);
  }

  // --- results

  #tell(): void {
    const recent = this.#recent;
    if (recent === undefined || this.#isOver) return;
    const failed = [...this.#errors.values()].reduce((sum, count) => sum + count, 0);
    const [seconds, p50, p99] = [
      Math.round((now() - this.#beganAt) / 1000),
      formatNumber(recent.percentile(50)),
      formatNumber(recent.percentile(99)),
    ];
    this.#options.onSecond?.(
      `${seconds} s  ${formatNumber(recent.count * 1000 / LIVE_MS)}/s  ` +
        `p50 ${p50} ms  p99 ${p99} ms  errors ${formatNumber(failed)}`,
    );
    recent.reset();
  }

  #report(
    { seconds, count, unsent }: { seconds: number; count: number; unsent: number },
  ): BenchReport {
    const { clients, pipeline, size, keys, rate = null } = this.#options;
    const byNumber = [...this.#errors].toSorted(([, a], [, b]) => b - a);
    return {
      commands: this.#tallies.map(({ request, latencies, notFound }) => ({
        command: request.name,
        notFound,
        ...latencies.summarize(),
      })),
      ...{ clients, pipeline, size, keys, rate, seconds, count },
      perSecond: count / seconds,
      failed: byNumber.reduce((sum, [, times]) => sum + times, 0),
      errors: Object.fromEntries(byNumber),
      unsent,
    };
  }
}

/** Returns the report as a table for a terminal of 80 columns. */
export function formatBench(report: BenchReport): string {
  const heading = ["", "count", "not found", "mean", "p50", "p90", "p99", "p99.9", "max ms"];
  const rows = report.commands.map(({ command, count, notFound, mean, max, percentiles }) => {
    const { 50: p50, 90: p90, 99: p99, 99.9: p999 } = percentiles;
    const figures = [mean, p50, p90, p99, p999, max].map(formatNumber);
    return [command, String(count), String(notFound), ...figures];
  });
  const alignments = heading.map((_, index) => index === 0 ? "left" as const : "right" as const);
  const how = `${report.clients} clients, ${report.pipeline} under way on each`;
  const rate = report.rate === null ? "" : `, of ${formatNumber(report.rate)} asked for`;
  let text = `${formatTable(heading, rows, alignments)}\n` +
    `${formatNumber(report.perSecond)} requests/s${rate}, in ${report.seconds.toFixed(1)} s\n` +
    `${how}, values of ${report.size} bytes, ${formatNumber(report.keys)} keys\n`;
  if (report.unsent > 0) {
    text += `unsent: ${report.unsent} were due, and wait until the end for earlier replies\n`;
  }
  for (const [word, count] of Object.entries(report.errors)) text += `failed: ${count} ${word}\n`;
  return text;
}
