/**
 * `run`: replays an operations file and measures it, as the original program did.
 *
 * @module
 */

import type { Address } from "../address.ts";
import type { ByteString } from "../byte_string.ts";
import { messageOf } from "../errors.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { ConnectionError } from "./connection.ts";
import type { Credentials } from "./credentials.ts";
import { callAnywhere, callOnce, Connector } from "./connector.ts";
import type { TlsKeys } from "../tls.ts";
import { Latencies, type Summary } from "./measurements.ts";
import { type Operation, OPERATION_NAMES, type OperationName } from "./operations_file.ts";
import { ProgressBar } from "./progress_bar.ts";
import { formatNumber, formatTable } from "./table.ts";
import { now } from "../clock.ts";

/** How a file is replayed. */
export interface RunOptions {
  readonly addresses: readonly Address[];
  readonly operations: readonly Operation[];
  /** How often the whole file is replayed. */
  readonly repeat: number;
  /** Connections that share the operations; with one, they are done in the order of the file. */
  readonly connections: number;
  /** Operations that each connection has under way at a time. */
  readonly pipeline: number;
  /** Makes a new connection for each operation, as the original program did. */
  readonly reconnect: boolean;
  /** Sends writes under tokens, and again when the connection breaks. */
  readonly retry: boolean;
  readonly timeoutMs: number;
  /** Who the client is, if it is not the default user without a password. */
  readonly credentials?: Credentials | undefined;
  /** Whom to believe, if TLS is spoken. */
  readonly tls?: TlsKeys | undefined;
}

/** The results of the operations of one name. */
export interface OperationReport extends Summary {
  readonly operation: OperationName;
  /** GETs and DELETEs of a key that did not exist. */
  readonly notFound: number;
  /** Operations that were answered by an error, or not at all. */
  readonly failed: number;
}

/** The results of a run. */
export interface RunReport {
  readonly operations: readonly OperationReport[];
  readonly count: number;
  readonly failed: number;
  readonly seconds: number;
  readonly operationsPerSecond: number;
  /** The first errors, each once. */
  readonly errors: readonly string[];
}

/** How many different errors are kept and shown. */
const ERRORS_MAX = 5;

/** Replays the operations. */
export async function run(options: RunOptions): Promise<RunReport> {
  const replay = new Replay(options);
  const begin = now();
  const workers = Array.from({ length: options.connections }, () => replay.work());
  try {
    await Promise.all(workers);
  } finally {
    replay.finish();
  }
  return replay.report((now() - begin) / 1000);
}

class Tally {
  readonly latencies = new Latencies();
  notFound = 0;
  failed = 0;
}

class Replay {
  readonly #options: RunOptions;
  readonly #total: number;
  readonly #bar: ProgressBar;
  readonly #tallies: Readonly<Record<OperationName, Tally>> = {
    PUT: new Tally(),
    GET: new Tally(),
    DELETE: new Tally(),
  };
  readonly #errors = new Set<string>();
  #next = 0;
  #done = 0;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#total = options.operations.length * options.repeat;
    this.#bar = new ProgressBar("run", this.#total);
  }

  /** Runs operations over one connection until none is left. */
  async work(): Promise<void> {
    const connector = new Connector({ ...this.#options, learns: true });
    // The first connection is made before the first operation is timed.
    if (!this.#options.reconnect) await connector.get();
    const { pipeline } = this.#options;
    await Promise.all(Array.from({ length: pipeline }, () => this.#workOneByOne(connector)));
    connector.close();
  }

  finish(): void {
    this.#bar.finish();
  }

  async #workOneByOne(connector: Connector): Promise<void> {
    for (;;) {
      const { operations } = this.#options;
      const operation = operations[this.#next % operations.length];
      if (this.#next >= this.#total || operation === undefined) return;
      this.#next++;
      await this.#perform(operation, connector);
      this.#bar.update(++this.#done);
    }
  }

  async #perform(operation: Operation, shared: Connector): Promise<void> {
    const tally = this.#tallies[operation.name];
    const begin = now();
    const isOwn = this.#options.reconnect;
    const connector = isOwn ? new Connector({ ...this.#options, learns: true }) : shared;
    try {
      this.#count(tally, await this.#send(operation, connector));
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      tally.failed++;
      this.#addError(messageOf(error));
    } finally {
      if (isOwn) connector.close();
    }
    tally.latencies.add(now() - begin);
  }

  async #send(operation: Operation, connector: Connector): Promise<RespValue> {
    const words = wordsOf(operation);
    const { retry, timeoutMs } = this.#options;
    const mayRepeat = operation.name === "GET";
    if (retry && !mayRepeat) return await callOnce(words, { connector, timeoutMs });
    return await callAnywhere(words, { connector, timeoutMs, mayRepeat });
  }

  #count(tally: Tally, reply: RespValue): void {
    if (reply instanceof ErrorReply) {
      tally.failed++;
      this.#addError(`${reply.code} ${reply.message}`);
    } else if (reply === null || reply === 0) tally.notFound++;
  }

  #addError(message: string): void {
    if (this.#errors.size < ERRORS_MAX) this.#errors.add(message);
  }

  report(seconds: number): RunReport {
    const operations = OPERATION_NAMES.map((operation): OperationReport => {
      const { latencies, notFound, failed } = this.#tallies[operation];
      return { operation, notFound, failed, ...latencies.summarize() };
    });
    return {
      operations,
      count: this.#done,
      failed: operations.reduce((sum, one) => sum + one.failed, 0),
      seconds,
      operationsPerSecond: this.#done / seconds,
      errors: [...this.#errors],
    };
  }
}

function wordsOf(operation: Operation): ByteString[] {
  const { name, key, value } = operation;
  return name === "PUT" ? [name, key, value] : [name, key];
}

/** Returns the report as a table for a terminal of 80 columns. */
export function formatReport(report: RunReport): string {
  const rows = report.operations
    .filter((one) => one.count > 0)
    .map((one) => [
      one.operation,
      String(one.count),
      String(one.notFound),
      String(one.failed),
      ...[one.mean, one.variance, one.p50, one.p95, one.p99, one.max].map(formatNumber),
    ]);
  const table = formatTable(
    ["", "count", "not found", "failed", "mean", "var", "p50", "p95", "p99", "max ms"],
    rows,
    ["left", ...Array.from({ length: 9 }, () => "right" as const)],
  );
  const rate = formatNumber(report.operationsPerSecond);
  const seconds = report.seconds.toFixed(3);
  let text = `${table}\n${report.count} operations in ${seconds} s: ${rate} operations/s\n`;
  for (const error of report.errors) text += `failed: ${error}\n`;
  return text;
}
