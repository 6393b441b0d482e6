/**
 * A program at a terminal, with a user who reads what it shows and types.
 *
 * @module
 */

import { until } from "./processes.ts";

/** Runs a command line at a pseudo-terminal (`script`, Debian: bsdutils). */
export class Terminal {
  readonly #process: Deno.ChildProcess;
  readonly #keyboard: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  /** What was shown and not been waited for yet. */
  #screen = "";

  constructor(commandLine: string) {
    this.#process = new Deno.Command("script", {
      args: ["-qec", commandLine, "/dev/null"],
      stdin: "piped",
      stdout: "piped",
      env: { TERM: "xterm", NO_COLOR: "1" },
    }).spawn();
    this.#keyboard = this.#process.stdin.getWriter();
    this.#reading = this.#readAll();
  }

  /** Waits until `text` is shown, and forgets everything up to there. */
  async until(text: string | RegExp): Promise<void> {
    await until(`the terminal shows ${text}, not ${JSON.stringify(this.#screen)}`, () => {
      const found = typeof text === "string"
        ? this.#screen.indexOf(text)
        : this.#screen.search(text);
      if (found < 0) return false;
      const length = typeof text === "string" ? text.length : text.exec(this.#screen)?.[0].length;
      this.#screen = this.#screen.slice(found + (length ?? 0));
      return true;
    });
  }

  async type(keys: string): Promise<void> {
    await this.#keyboard.write(new TextEncoder().encode(keys));
  }

  /** Waits until the program has ended. Returns its exit code. */
  async ended(): Promise<number> {
    const { code } = await this.#process.status;
    await this.#reading;
    await this.#keyboard.close().catch(() => {});
    return code;
  }

  async #readAll(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of this.#process.stdout) {
      this.#screen += decoder.decode(bytes, { stream: true });
    }
  }
}
