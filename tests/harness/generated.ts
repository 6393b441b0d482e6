/**
 * Files, and parts of files, that follow from tables of the source. `scripts/generate.ts` writes them.
 *
 * @module
 */

import { commandList } from "./command_list.ts";
import { bashCompletions, fishCompletions, manPage, zshCompletions } from "./help_files.ts";
import { metricList } from "./metric_list.ts";
import { LIMITS } from "../../src/node/commands/limit_table.ts";

/** A file that is written from the source. */
export interface GeneratedFile {
  /** From the root of the repository. */
  readonly path: string;
  /** Returns what the file must hold, given what it holds now; Markdown is formatted after that. */
  content(now: string): string;
}

export const GENERATED: readonly GeneratedFile[] = [
  { path: "docs/commands.md", content: (now) => withPart(now, "commands", commandList()) },
  { path: "docs/metrics.md", content: (now) => withPart(now, "metrics", metricList()) },
  { path: "docs/operations.md", content: (now) => withPart(now, "limits", limitTable()) },
  { path: "deploy/dks.1", content: manPage },
  { path: "deploy/dks.bash", content: bashCompletions },
  { path: "deploy/_dks", content: zshCompletions },
  { path: "deploy/dks.fish", content: fishCompletions },
];

/** Returns what `file` must hold. */
export async function generate(file: GeneratedFile): Promise<string> {
  const url = new URL(`../../${file.path}`, import.meta.url);
  const now = await Deno.readTextFile(url).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  const content = file.content(now);
  return file.path.endsWith(".md") ? await formatted(content) : content;
}

async function formatted(markdown: string): Promise<string> {
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", "--config", config, "--ext", "md", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const [output] = await Promise.all([
    process.output(),
    ReadableStream.from([new TextEncoder().encode(markdown)]).pipeTo(process.stdin),
  ]);
  if (!output.success) throw new Error("deno fmt failed");
  return new TextDecoder().decode(output.stdout);
}

/** Returns `document` with `part` between the marks of its name. */
function withPart(document: string, name: string, part: string): string {
  const [first, last] = [
    `<!-- ${name}: written by scripts/generate.ts -->`,
    `<!-- end of ${name} -->`,
  ];
  const [begin, end] = [document.indexOf(first), document.indexOf(last)];
  if (begin < 0 || end < begin) throw new Error(`the document has no place for ${name}`);
  return `${document.slice(0, begin)}${first}\n\n${part}\n\n${document.slice(end)}`;
}

function limitTable(): string {
  const rows = LIMITS.map(({ what, name, flag, unit, default: most, then }) => {
    const shown = typeof most === "string" ? most : unit === "bytes" ? size(most) : grouped(most);
    const by = flag === undefined ? "" : ` (${flag})`;
    return `| ${what} | \`${name}\`${by} | ${shown} | ${then} |`;
  });
  return [
    "| what | parameter | default | when it is reached |",
    "| --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

function size(bytes: number): string {
  const isMebibytes = bytes % 2 ** 20 === 0;
  return isMebibytes ? `${grouped(bytes / 2 ** 20)} MiB` : `${grouped(bytes / 1024)} KiB`;
}

function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ",");
}
