/**
 * `top`: the cluster at a glance, drawn again and again in the same place.
 *
 * @module
 */

import { bold, dim, stripAnsiCode } from "@std/fmt/colors";
import { delay } from "@std/async/delay";
import type { Address } from "../address.ts";
import { type ByteString, quote } from "../byte_string.ts";
import type { ClusterStatus } from "../cluster_status.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { callAnywhere, Connector } from "./connector.ts";
import { jsonText } from "./json.ts";
import type { Credentials } from "./credentials.ts";
import type { TlsKeys } from "../tls.ts";
import { formatStatus, statusOf } from "./status.ts";
import { formatNumber, formatTable } from "./table.ts";
import { type Output, terminalColumns, terminalRows } from "./terminal.ts";

/** How often everything is asked and drawn again, in milliseconds. */
const PERIOD_MS = 1000;

/** Most commands that are listed: of those with times, and of the slow ones. */
const COMMANDS_MAX = 8;
const SLOW_MAX = 5;

/** Most characters of a slow command. */
const SHOWN_MAX = 60;

/** How long the calls of one command take at a node, in microseconds. */
export interface CommandTimes {
  readonly name: string;
  readonly p50: number;
  readonly p99: number;
}

/** A command of SLOWLOG. */
export interface SlowCommand {
  readonly micros: number;
  readonly words: string;
}

/** What is drawn. */
export interface Glance {
  readonly status: ClusterStatus;
  /** The slowest first. */
  readonly times: readonly CommandTimes[];
  /** The slowest first. */
  readonly slow: readonly SlowCommand[];
}

/** What `top` works with. */
export interface TopOptions {
  readonly addresses: readonly Address[];
  readonly timeoutMs: number;
  readonly credentials?: Credentials | undefined;
  readonly tls?: TlsKeys | undefined;
  readonly output: Output;
  /** Writes it once, as JSON. */
  readonly asJson?: boolean;
}

/**
 * Draws until the user ends it by `q` or Ctrl-C; if the output is no terminal, writes it once.
 *
 * @throws {ConnectionError} if no node can be reached.
 */
export async function top(options: TopOptions): Promise<void> {
  const { output } = options;
  const connector = new Connector({ ...options, learns: true });
  try {
    if (options.asJson === true) {
      await output.write(jsonText(await look(connector, options.timeoutMs)));
    } else if (output.isTerminal) await draw(connector, options);
    else await output.write(formatGlance(await look(connector, options.timeoutMs)));
  } finally {
    connector.close();
  }
}

/** A screen of its own without a cursor, and back; a line's end, and the screen's. */
const [ENTER, LEAVE] = ["\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"];
const [HOME, CLEAR_LINE, CLEAR_REST] = ["\x1b[H", "\x1b[K", "\x1b[J"];

async function draw(connector: Connector, { output, timeoutMs }: TopOptions): Promise<void> {
  const first = await look(connector, timeoutMs); // An error stays on the usual screen.
  // Standard input may be a file, or at its end: certificates or a password came from there.
  const hasKeys = Deno.stdin.isTerminal();
  const interrupt = Promise.withResolvers<true>();
  const end = () => interrupt.resolve(true);
  Deno.addSignalListener("SIGINT", end);
  if (hasKeys) Deno.stdin.setRaw(true);
  await output.write(ENTER);
  try {
    const ended = hasKeys ? Promise.race([untilQuit(), interrupt.promise]) : interrupt.promise;
    for (let glance = first, isOver = false; !isOver;) {
      const columns = terminalColumns();
      const text = formatGlance(glance, columns) + dim(hasKeys ? "q ends" : "Ctrl-C ends");
      const lines = fit(text, { columns, rows: terminalRows() });
      await output.write(`${HOME}${lines.join(`${CLEAR_LINE}\r\n`)}${CLEAR_LINE}${CLEAR_REST}`);
      isOver = await Promise.race([ended, delay(PERIOD_MS).then(() => false)]);
      if (!isOver) glance = await look(connector, timeoutMs);
    }
  } finally {
    await output.write(LEAVE);
    if (hasKeys) Deno.stdin.setRaw(false);
    Deno.removeSignalListener("SIGINT", end);
  }
}

/** Resolves when `q`, Ctrl-C or Ctrl-D is typed, or the input has ended. */
async function untilQuit(): Promise<true> {
  const key = new Uint8Array(1);
  const ends = new Set(["q", "Q", "\x03", "\x04"]);
  while (await Deno.stdin.read(key) !== null) {
    if (ends.has(String.fromCharCode(key[0] ?? 0))) break;
  }
  return true;
}

/** Asks one node for everything. */
async function look(connector: Connector, timeoutMs: number): Promise<Glance> {
  const ask = (...words: ByteString[]) =>
    callAnywhere(words, { connector, timeoutMs, mayRepeat: true });
  const status = statusOf(await ask("DKS.STATUS"), connector.name);
  // A user may not have the right to ask for these: then they are left out.
  const times = timesIn(await ask("INFO", "latencystats"));
  return { status, times, slow: slowIn(await ask("SLOWLOG", "GET", "128")) };
}

/** Returns the times that the section `latencystats` of INFO has, the slowest first. */
export function timesIn(info: RespValue): CommandTimes[] {
  if (typeof info !== "string") return [];
  const found = info.matchAll(
    /^latency_percentiles_usec_([^:]+):p50=([\d.]+),p99=([\d.]+)/gm,
  );
  return [...found].map(([, name = "", p50, p99]) => ({ name, p50: Number(p50), p99: Number(p99) }))
    .sort((a, b) => b.p99 - a.p99);
}

/** Returns what SLOWLOG GET has replied, the slowest first. */
export function slowIn(reply: RespValue): SlowCommand[] {
  if (reply instanceof ErrorReply || !Array.isArray(reply)) return [];
  return reply.flatMap((entry): SlowCommand[] => {
    if (!Array.isArray(entry)) return [];
    const [, , micros, words] = entry as readonly RespValue[];
    if (typeof micros !== "number" || !Array.isArray(words)) return [];
    const line = words.map((word) => typeof word === "string" ? word : "?").join(" ");
    // In quotes, as the words are a client's; without the outer ones.
    return [{ micros, words: quote(line, SHOWN_MAX).slice(1, -1) }];
  }).sort((a, b) => b.micros - a.micros);
}

/**
 * Returns the glance in human-readable form, lines of any length.
 *
 * @param columnsMax how wide its tables may be
 */
export function formatGlance(
  { status, times, slow }: Glance,
  columnsMax: number = Infinity,
): string {
  const rate = status.nodes.reduce((sum, node) => sum + (node.requestsPerSecond ?? 0), 0);
  const parts = [
    `${formatStatus(status, columnsMax)}\n${
      bold(`${formatNumber(rate)} requests/s at all nodes`)
    }, ` +
    `${status.inDoubt} in doubt\n`,
  ];
  const name = status.nodes.find(({ isSelf }) => isSelf)?.address ?? "this node";
  if (times.length > 0) {
    const rows = times.slice(0, COMMANDS_MAX).map((one) => [one.name, ms(one.p50), ms(one.p99)]);
    const table = formatTable(
      ["command", "median ms", "p99 ms"],
      rows,
      ["left", "right", "right"],
      columnsMax,
    );
    parts.push(`times at ${name}\n${table}`);
  }
  if (slow.length > 0) {
    const rows = slow.slice(0, SLOW_MAX).map(({ micros, words }) => [ms(micros), words]);
    parts.push(formatTable(["ms", `slowest commands at ${name}`], rows, ["right", "left"]));
  }
  return `${parts.join("\n")}\n`;
}

function ms(micros: number): string {
  return formatNumber(micros / 1000);
}

/**
 * Returns the lines of `text` that fit on a screen, each cut to its width. A line that is cut ends with `…`,
 * and loses its colours.
 */
export function fit(text: string, screen: { columns: number; rows: number }): string[] {
  return text.split("\n").slice(0, screen.rows).map((line) => {
    const plain = stripAnsiCode(line);
    return plain.length <= screen.columns ? line : `${plain.slice(0, screen.columns - 1)}…`;
  });
}
