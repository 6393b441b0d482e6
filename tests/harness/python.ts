/**
 * What a test needs of a system that Deno does not give: done by short scripts in Python.
 *
 * @module
 */

import { TextLines } from "./text_lines.ts";

/** Whether there is a Python to run {@linkcode Script}s. */
export const HAS_PYTHON: boolean = (() => {
  try {
    const args = ["-c", "import sqlite3"];
    return new Deno.Command("python3", { args, stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
})();

/** A script that runs beside the test. It prints a line when it has come so far, and is then told to go on. */
export class Script {
  readonly #process: Deno.ChildProcess;
  readonly #output: TextLines;

  /** @param text the script; `args`: its `sys.argv[1:]` */
  constructor(text: string, ...args: readonly (string | number)[]) {
    this.#process = new Deno.Command("python3", {
      args: ["-u", "-c", text, ...args.map(String)],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#output = new TextLines(this.#process.stdout);
  }

  /** Waits until the script has printed a line that `pattern` matches. */
  async untilPrinted(pattern: RegExp): Promise<string> {
    return await this.#output.find(pattern);
  }

  /** Ends the script, wherever it is. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.end();
  }

  /** Ends what the script waits for (`sys.stdin.read()`), and waits until it has ended. */
  async end(): Promise<void> {
    await this.#process.stdin.close().catch(() => {});
    await this.#process.status;
    await this.#output.ended;
  }
}

/** Connects to a port of the loopback address, and resets each connection at once: `port`, `count`. */
export const RESETS = `
import socket, struct, sys
for i in range(int(sys.argv[2])):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.connect(('127.0.0.1', int(sys.argv[1])))
    s.close()
print('done')
sys.stdin.read()
`;

/** Writes to a database, and holds its lock: `file`, `ms`, how often. */
export const LOCKS = `
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
for i in range(int(sys.argv[3])):
    c.execute('BEGIN EXCLUSIVE')
    c.execute('CREATE TABLE IF NOT EXISTS other (n)')
    c.execute('INSERT INTO other VALUES (1)')
    if i == 0: print('locked')
    time.sleep(int(sys.argv[2]) / 1000)
    c.execute('COMMIT')
print('done')
sys.stdin.read()
`;
