/** MULTI and WATCH on five real nodes. */

import { assert, assertEquals } from "@std/assert";
import type { Address } from "../../src/address.ts";
import { ClientConnection } from "../../src/client/connection.ts";
import { ErrorReply, type RespValue } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { CLIENT_TIMEOUT_MS } from "../harness/checks.ts";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";

const NODES = 5;
const ACCOUNTS = 8;
const BALANCE = 100;
const TRANSFERS = 1000;
const CLIENTS = 15;

const accounts = Array.from({ length: ACCOUNTS }, (_, at) => `account:${at}`);

function open(address: Address): Promise<ClientConnection> {
  return ClientConnection.open([address], { timeoutMs: CLIENT_TIMEOUT_MS });
}

/** Two accounts, and an amount. */
function anyTransfer(): { from: string; to: string; amount: number } {
  const from = Math.floor(Math.random() * ACCOUNTS);
  const to = (from + 1 + Math.floor(Math.random() * (ACCOUNTS - 1))) % ACCOUNTS;
  const amount = 1 + Math.floor(Math.random() * 20);
  return { from: accounts[from] ?? "", to: accounts[to] ?? "", amount };
}

/** Tries a transfer by WATCH once. Returns whether it took place. */
async function transfer(connection: ClientConnection): Promise<boolean> {
  const { from, to, amount } = anyTransfer();
  const say = async (...words: string[]): Promise<RespValue> => {
    const reply = await connection.call(words);
    assert(!(reply instanceof ErrorReply), `${words.join(" ")}: ${JSON.stringify(reply)}`);
    return reply;
  };
  await say("WATCH", from, to);
  const [mine, theirs] = [Number(await say("GET", from)), Number(await say("GET", to))];
  await say("MULTI");
  await say("SET", from, String(mine - amount));
  await say("SET", to, String(theirs + amount));
  return await say("EXEC") !== null;
}

Deno.test("transfers by WATCH through five nodes keep the sum, which every MULTI sees", async () => {
  const places = loopback(freePorts(NODES), await binary());
  const addresses = places.map(({ port }): Address => ({ hostname: "127.0.0.1", port }));
  const cluster = await LocalCluster.start({ places });
  const connections: ClientConnection[] = [];
  try {
    for (let at = 0; at <= CLIENTS; at++) {
      const address = addresses[at % NODES];
      assert(address !== undefined);
      connections.push(await open(address));
    }
    const [first, ...clients] = connections;
    assert(first !== undefined);
    await first.call(["MSET", ...accounts.flatMap((name) => [name, String(BALANCE)])]);
    let done = 0;
    let refused = 0;
    const sums = new Set<number>();
    const look = async () => {
      while (done < TRANSFERS) {
        await first.call(["MULTI"]);
        for (const name of accounts) await first.call(["GET", name]);
        const values = await first.call(["EXEC"]) as readonly string[];
        sums.add(values.reduce((sum, value) => sum + Number(value), 0));
      }
    };
    const work = clients.map(async (client) => {
      while (done < TRANSFERS) {
        if (await transfer(client)) done++;
        else refused++;
      }
    });
    await Promise.all([look(), ...work]);
    assertEquals([...sums], [ACCOUNTS * BALANCE]);
    assert(refused > 0, "clients have met on the same accounts");
  } finally {
    for (const connection of connections) connection.close();
    await cluster.stop();
  }
});
