/**
 * Running programs and waiting for things, for the end-to-end tests.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { binaryPath } from "./binary.ts";

/** What a program that has ended left behind. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export async function execute(
  file: string,
  args: readonly string[],
  options: { input?: string | Uint8Array; env?: Record<string, string>; cwd?: string } = {},
): Promise<Ended & { bytes: Uint8Array }> {
  const process = await spawn(
    new Deno.Command(file, {
      args: [...args],
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      ...(options.env === undefined ? {} : { env: options.env, clearEnv: true }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    }),
  );
  const fed = feedInput(process, options.input);
  const { code, stdout, stderr } = await process.output();
  await fed;
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr), bytes: stdout };
}

/**
 * Starts a program, also one whose file was written just before: a process that another test file starts at
 * that moment has the open file, too, until it becomes another program.
 */
async function spawn(command: Deno.Command): Promise<Deno.ChildProcess> {
  for (let attempts = 1;; attempts++) {
    try {
      return command.spawn();
    } catch (error) {
      const isBusy = error instanceof Error && /Text file busy/.test(error.message);
      if (!isBusy || attempts === 100) throw error;
      await delay(10);
    }
  }
}

async function feedInput(
  process: Deno.ChildProcess,
  input: string | Uint8Array | undefined,
): Promise<void> {
  if (input === undefined) return;
  const writer = process.stdin.getWriter();
  try {
    await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
    await writer.close();
  } catch {
    // The program has ended without reading all of it.
  }
}

/** Runs `dks client` against the node at `port`. */
export async function client(
  port: number,
  args: readonly string[],
  input?: string | Uint8Array,
): Promise<Ended & { bytes: Uint8Array }> {
  return await execute(
    await binaryPath(),
    ["client", "-s", "127.0.0.1", "-p", String(port), ...args],
    input === undefined ? {} : { input },
  );
}

/** Tells whether a program of this name can be run here. */
export function isInstalled(name: string): boolean {
  try {
    return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().code !== 127;
  } catch {
    return false;
  }
}

/** How often a condition is looked at, and when it is given up. */
const POLL_MS = 20;
const PATIENCE_MS = 60_000;

/** Waits until `condition` holds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`waited ${PATIENCE_MS / 1000} s until ${what}`);
    await delay(POLL_MS);
  }
}
