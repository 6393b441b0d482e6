/** Counters under load, while a node is killed: nothing is lost, and nothing counts twice. */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { ClientConnection } from "../../src/client/connection.ts";
import { ErrorReply, type RespValue } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";

const NODES = 5;
const CLIENTS = 50;
const INCREMENTS = 20;

/** With a pause between attempts to connect, in milliseconds. */
const RETRY_MS = 50;

/** Who asks goes from node to node until one answers. */
class Client {
  readonly #ports: readonly number[];
  #at: number;
  #connection: ClientConnection | undefined;

  constructor(ports: readonly number[], first: number) {
    this.#ports = ports;
    this.#at = first;
  }

  /** Returns the reply; `undefined` if the connection broke, so that the reply is not known. */
  async call(words: readonly string[]): Promise<RespValue | undefined> {
    try {
      this.#connection ??= await this.#connect();
      return await this.#connection.call(words);
    } catch {
      this.close();
      return undefined;
    }
  }

  async #connect(): Promise<ClientConnection> {
    const port = this.#ports[this.#at++ % this.#ports.length] ?? 0;
    return await ClientConnection.open([{ hostname: "127.0.0.1", port }], { timeoutMs: 10_000 });
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }
}

Deno.test("50 clients increment one counter through five nodes, one of which is killed", async () => {
  const ports = freePorts(NODES);
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(ports, index));
  let certain = 0;
  let doubtful = 0;
  let done = 0;
  /** Counts without a token what is certain, and with one repeats until it is. */
  const work = async (client: Client, index: number) => {
    for (let round = 0; round < INCREMENTS; round++) {
      const reply = await client.call(["INCR", "plain"]);
      if (typeof reply === "number") certain++;
      else if (!(reply instanceof ErrorReply) || reply.code === "INDETERMINATE") doubtful++;
      const words = ["DKS.ONCE", `${index}.${round}`, "INCR", "under tokens"];
      while (typeof await client.call(words) !== "number") await delay(RETRY_MS);
      if (++done === CLIENTS * INCREMENTS / 4) await cluster.nodes[2]?.stop("SIGKILL");
    }
  };
  try {
    await Promise.all(clients.map(work));
    const [plain, tokens] = await read(clients[0]);
    assertEquals(tokens, CLIENTS * INCREMENTS, "with tokens each counts once");
    assert(certain <= plain, `${certain} are certain, and ${plain} counted`);
    assert(plain <= certain + doubtful, `${plain} counted of ${certain} and ${doubtful}`);
    assert(certain > CLIENTS, "nearly all are certain");
  } finally {
    for (const client of clients) client.close();
    await cluster.stop();
  }
});

async function read(client: Client | undefined): Promise<[number, number]> {
  for (;;) {
    const reply = await client?.call(["MGET", "plain", "under tokens"]);
    if (Array.isArray(reply)) return [Number(reply[0]), Number(reply[1])];
    await delay(RETRY_MS);
  }
}
