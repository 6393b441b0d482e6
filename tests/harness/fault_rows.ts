/**
 * What the cases of `deno task faults` are measured with, and the tables that come of it.
 *
 * @module
 */

import type { Address } from "../../src/address.ts";
import { formatTable } from "../../src/client/table.ts";
import { callOnceAt } from "./machines.ts";
import { Workload } from "./workload.ts";

/** Longer than any answer may take, with the nodes' own deadline of 5 s. */
const CLIENT_TIMEOUT_MS = 20_000;

/** Clients rest between requests, in milliseconds. */
const REST_MS = 40;

/** Returns the steady load of all cases: two writers and two readers at each node. */
export function loadOf(
  addresses: readonly Address[],
  options: { readonly prefix: string; readonly restMs?: (node: number) => number },
): Workload {
  const { prefix, restMs = () => REST_MS } = options;
  return new Workload({
    addresses,
    writersPerNode: 2,
    readersPerNode: 2,
    keysPerWriter: 5,
    timeoutMs: CLIENT_TIMEOUT_MS,
    prefix,
    pauseMs: restMs,
  });
}

/** The longest times without a good answer, of the stretches of time that count. */
export class Gaps {
  /** Without a write that whichever node acknowledged, in milliseconds. */
  allMs = 0;
  /** Without a write and a read at the worst of the nodes that count, in milliseconds. */
  writeMs = 0;
  readMs = 0;
  readonly #workload: Workload;

  constructor(workload: Workload) {
    this.#workload = workload;
    workload.resetGaps();
  }

  /**
   * Takes down the gaps at these nodes since the last time; those at others are forgotten. Returns the
   * longest time without a write that whichever node acknowledged, in milliseconds.
   */
  note(nodes: readonly number[]): number {
    const gaps = this.#workload.gapsMs(nodes);
    const { writeGapMs } = this.#workload;
    this.allMs = Math.max(this.allMs, writeGapMs);
    this.writeMs = Math.max(this.writeMs, gaps.write);
    this.readMs = Math.max(this.readMs, gaps.read);
    this.#workload.resetGaps();
    return writeGapMs;
  }

  /** Has everything since the last time not count. Returns the longest time without a write in it. */
  skip(): number {
    const { writeGapMs } = this.#workload;
    this.#workload.resetGaps();
    return writeGapMs;
  }
}

/**
 * Looks at what the nodes at these addresses hold at rest: whether it is the same, and not older than
 * acknowledged.
 */
export async function compare(
  workload: Workload,
  addresses: readonly Address[],
): Promise<{ readonly lost: number; readonly remark: string }> {
  const names = workload.keys.map(({ name }) => name);
  const contents = await Promise.all(
    addresses.map((address) => callOnceAt(address, ["MGET", ...names], CLIENT_TIMEOUT_MS)),
  ).catch((error) => String(error));
  if (!Array.isArray(contents)) return { lost: NaN, remark: `cannot be read: ${contents}` };
  const unread = contents.findIndex((content) => !Array.isArray(content));
  if (unread >= 0) return { lost: NaN, remark: `node ${unread} answers ${contents[unread]}` };
  const areAlike = contents.every((content) => String(content) === String(contents[0]));
  let lost = 0;
  workload.keys.forEach((key, index) => {
    const values = (contents as unknown[][]).map((content) => Number(content[index] ?? 0));
    const isKept = values.every((value) => value >= key.acknowledged || key.unknown.has(value));
    if (!isKept) lost++;
  });
  return { lost, remark: areAlike ? "" : "the nodes do not hold the same" };
}

/** Returns a time as the tables have it. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

/** A table of the document. */
export interface Table {
  /** Stands in front of it, in the document. */
  readonly begin: string;
  readonly heading: readonly string[];
  /** How many of the first columns are words. */
  readonly words: number;
  readonly rows: readonly (readonly string[])[];
}

const END = "<!-- end -->";

/** Returns a table for people. */
export function tableText({ heading, words, rows }: Table): string {
  const sides = heading.map((_, column) => column < words ? "left" as const : "right" as const);
  return formatTable(heading, rows, sides);
}

/** Puts tables into `docs/faults.md`, each in the place of the one before; not those without rows. */
export async function writeTables(tables: readonly Table[]): Promise<void> {
  const file = new URL("../../docs/faults.md", import.meta.url);
  let text = await Deno.readTextFile(file);
  for (const { begin, heading, words, rows } of tables) {
    if (rows.length === 0) continue;
    const [head, rest] = text.split(begin);
    if (head === undefined || rest === undefined || !rest.includes(END)) {
      throw new Error(`docs/faults.md has no ${begin}`);
    }
    const tail = rest.slice(rest.indexOf(END));
    const lines = [heading, heading.map((_, column) => column < words ? "---" : "--:"), ...rows];
    const table = lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
    text = `${head}${begin}\n\n${table}\n${tail}`;
  }
  await Deno.writeTextFile(file, text);
  const fmt = new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", file.pathname] });
  if (!(await fmt.output()).success) throw new Error("docs/faults.md cannot be formatted");
}
