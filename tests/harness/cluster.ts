/**
 * Nodes as processes on this machine, for the demo, for trying things out, and for the tests.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { deadline } from "@std/async/deadline";
import { SOURCE_FLAGS } from "./flags.ts";
import { TextLines } from "./text_lines.ts";

/** How a program is started: the file, and the arguments before its own. */
export interface Program {
  readonly file: string;
  readonly args: readonly string[];
}

/** The machine may be busy: no node is to be left out for that, and nobody loses the lease by it. */
export const CALM: readonly string[] = [
  ...["--lease", "5s", "--suspicion", "5s", "--timeout", "10s"],
];

/** The program from its source, with the permissions that the binary has. */
export const FROM_SOURCE: Program = {
  file: Deno.execPath(),
  args: ["run", ...SOURCE_FLAGS, new URL("../../main.ts", import.meta.url).pathname],
};

/** Time in which a node must be up, or be down, however busy the machine is. */
const PATIENCE_MS = 30_000;

/**
 * Ports for nodes, of five digits. The system gives connections none of these for their own end (it takes
 * 32768 to 60999 for that), so a node that is started again later finds its port free.
 */
const PORTS = { from: 10_000, below: 32_768 };

/**
 * Where the tests that run on this machine note the last port that was given out. They take ports in
 * turn: one that was only looked at and left could be given to another test before its node listens.
 */
const LAST_PORT = `${Deno.env.get("TMPDIR") ?? "/tmp"}/dks-last-port-${Deno.uid() ?? "any"}`;

/**
 * Returns `count` ports that no process listens at, and that no test gets again before all others have
 * been given out.
 */
export function freePorts(count: number): number[] {
  const file = Deno.openSync(LAST_PORT, { read: true, write: true, create: true });
  try {
    file.lockSync(true);
    const size = PORTS.below - PORTS.from;
    const noted = Number(Deno.readTextFileSync(LAST_PORT).trim() || NaN);
    let turn = Number.isInteger(noted) ? noted - PORTS.from : Math.floor(Math.random() * size);
    const ports: number[] = [];
    while (ports.length < count) {
      turn = (turn + 1) % size;
      const port = PORTS.from + turn;
      if (isFree(port)) ports.push(port);
    }
    Deno.writeTextFileSync(LAST_PORT, `${PORTS.from + turn}\n`);
    return ports;
  } finally {
    file.close();
  }
}

/** Whether no process listens at this port. */
function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "0.0.0.0", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** One process of `dks serve`. */
export class NodeProcess {
  readonly port: number;
  readonly #process: Deno.ChildProcess;
  readonly #output: TextLines;
  readonly #errors: TextLines;
  #hasEnded = false;

  constructor(options: {
    program: Program;
    port: number;
    args: readonly string[];
    /** Where the journal is kept, as flags; nowhere, if not given. */
    storage?: readonly string[];
    /** Variables of its environment besides those of this process. */
    env?: Readonly<Record<string, string>>;
    /** What is on its standard input. */
    input?: string | undefined;
    onLine?: (line: string) => void;
  }) {
    const { program, port, args, storage = ["--ephemeral"], env = {}, input, onLine } = options;
    this.port = port;
    this.#process = new Deno.Command(program.file, {
      args: [...program.args, "serve", "--port", String(port), ...storage, ...args],
      env: { ...env },
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    // A process that has ended without reading all of it has said why.
    if (input !== undefined) {
      ReadableStream.from([new TextEncoder().encode(input)]).pipeTo(this.#process.stdin)
        .catch(() => {});
    }
    this.#output = new TextLines(this.#process.stdout, onLine);
    this.#errors = new TextLines(this.#process.stderr, onLine);
    this.#process.status.then(() => this.#hasEnded = true);
  }

  get pid(): number {
    return this.#process.pid;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Everything that the node has printed so far. */
  get printed(): string {
    return [...this.#output.lines, ...this.#errors.lines].join("\n");
  }

  /** Waits until the node has printed a line that `pattern` matches. Returns the line. */
  async untilPrinted(pattern: RegExp): Promise<string> {
    const found = Promise.any([this.#output.find(pattern), this.#errors.find(pattern)]);
    try {
      return await deadline(found, PATIENCE_MS);
    } catch {
      throw new Error(`port ${this.port} did not print ${pattern}, but:\n${this.printed}`);
    }
  }

  /** Waits until the process has ended by itself. Returns its exit code. */
  async untilEnded(): Promise<number> {
    const status = await deadline(this.#process.status, PATIENCE_MS);
    await Promise.all([this.#output.ended, this.#errors.ended]);
    return status.code;
  }

  /** Waits until the process has ended by itself, however long that takes. */
  async untilEndedAtAll(): Promise<void> {
    await this.#process.status;
  }

  /** Sends a signal to the process. */
  signal(signal: Deno.Signal): void {
    if (!this.#hasEnded) this.#process.kill(signal);
  }

  /** Ends the process, and waits until it has. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    if (!this.#hasEnded) {
      // A stopped process takes in no other signal but SIGKILL.
      if (Deno.build.os !== "windows") this.signal("SIGCONT");
      this.signal(signal);
    }
    // The timer is ended by hand: it would keep this process alive for as long as it runs.
    const patience = new AbortController();
    const ended = await Promise.race([
      this.#process.status.then(() => true),
      delay(PATIENCE_MS / 3, patience).then(() => false, () => false),
    ]);
    patience.abort();
    if (!ended) this.signal("SIGKILL");
    await this.untilEnded();
  }
}

/** Where a node runs, and how its peers reach it. */
export interface Place {
  readonly program: Program;
  readonly port: number;
  /** Its entry in the list of peers. */
  readonly address: string;
}

/** Returns places at these ports of the loopback address. */
export function loopback(ports: readonly number[], program: Program = FROM_SOURCE): Place[] {
  return ports.map((port) => ({ program, port, address: `127.0.0.1:${port}` }));
}

/** Several nodes that know each other. */
export class LocalCluster {
  readonly nodes: readonly NodeProcess[];

  private constructor(nodes: readonly NodeProcess[]) {
    this.nodes = nodes;
  }

  /** Starts nodes, and waits until all of them say that the cluster is complete. */
  static async start(options: {
    places: readonly Place[];
    args?: readonly string[];
    /** Where journals are kept, as flags; nowhere, if not given. */
    storage?: readonly string[];
    env?: Readonly<Record<string, string>>;
    /** What is on the standard input of each. */
    input?: string;
    onLine?: (port: number, line: string) => void;
  }): Promise<LocalCluster> {
    const { places, args = [], storage, env, input, onLine } = options;
    const peers = places.map((place) => place.address).join(",");
    const cluster = new LocalCluster(
      places.map(({ program, port }) =>
        new NodeProcess({
          program,
          port,
          args: [...(places.length > 1 ? ["--peers", peers] : []), ...args],
          input,
          ...(storage === undefined ? {} : { storage }),
          ...(env === undefined ? {} : { env }),
          ...(onLine === undefined ? {} : { onLine: (line: string) => onLine(port, line) }),
        })
      ),
    );
    try {
      await Promise.all(cluster.nodes.map((node) => node.untilPrinted(/cluster is complete/)));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** Ends all nodes that have not ended. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}
