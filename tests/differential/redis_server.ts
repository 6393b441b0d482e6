/**
 * Redis itself, as a process to compare with.
 *
 * @module
 */

import { isInstalled, until } from "../harness/processes.ts";

/** Returns whether there is a Redis to compare with. */
export function hasRedis(): boolean {
  return isInstalled("redis-server");
}

/** One process of `redis-server`, with the same bound on values as dks has, which stores nothing. */
export class RedisServer {
  readonly port: number;
  readonly #process: Deno.ChildProcess;

  private constructor(port: number) {
    this.port = port;
    this.#process = new Deno.Command("redis-server", {
      args: [
        ...["--port", String(port), "--bind", "127.0.0.1", "--save", ""],
        ...["--proto-max-bulk-len", String(8 * 1024 * 1024)],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  static async start(port: number): Promise<RedisServer> {
    const server = new RedisServer(port);
    await until("redis-server answers", async () => {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return true;
      } catch {
        return false;
      }
    });
    return server;
  }

  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.status;
  }
}
