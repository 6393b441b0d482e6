/**
 * Asking the port of `--http`.
 *
 * @module
 */

import { METRICS } from "../../src/node/admin/metrics.ts";

/** An answer as text. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** Asks for `path` at a port of this machine. */
export async function httpGet(port: number, path: string): Promise<HttpAnswer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, headers: response.headers, body: await response.text() };
}

/** Returns the figures in a text of metrics, by name and labels as they stand there. */
export function figuresIn(text: string): ReadonlyMap<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const space = line.lastIndexOf(" ");
    return [line.slice(0, space), Number(line.slice(space + 1).replace("Inf", "Infinity"))];
  }));
}

/** Returns the metrics that are described in a text, as `name type help`. */
export function describedIn(text: string): string[] {
  const helps = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)];
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (.*)$/gm)].map(([, n = "", t]) => [n, t]));
  return helps.map(([, name = "", help]) => `${name} ${types.get(name)} ${help}`);
}

/** The metrics that there are, as {@linkcode describedIn} has them. */
export const DESCRIBED: readonly string[] = METRICS.map(({ name, type, help }) =>
  `${name} ${type} ${help}`
);
