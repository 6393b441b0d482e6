/** redis-commander: the tree of the keys that it shows, and a value. */

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { createServer } = require("node:net");
const { createClient } = require("redis");
const { ports, run, until, urls } = require("./program.cjs");

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

run(async () => {
  const client = createClient({ url: urls[0] });
  await client.connect();
  await client.mSet({ "tree:a:1": "one", "tree:a:2": "two", "tree:b": "three" });
  const port = await freePort();
  const commander = spawn(process.execPath, [
    require.resolve("redis-commander/bin/redis-commander.js"),
    ...["--address", "127.0.0.1", "--port", String(port), "--nosave", "--noload"],
    ...["--redis-host", "127.0.0.1", "--redis-port", String(ports[1])],
  ], { stdio: "ignore" });
  process.on("exit", () => commander.kill());
  const address = `http://127.0.0.1:${port}`;
  const ask = async (path, options) => await (await fetch(address + path, options)).json();
  await until("it is up", () => ask("/signin", { method: "POST" }).then(() => true, () => false));
  const { bearerToken } = await ask("/signin", { method: "POST" });
  const headers = { authorization: `Bearer ${bearerToken}` };
  const { connections: [{ conId: id }] } = await ask("/connections", { headers });
  const tree = await ask(`/apiv2/keystree/${id}/tree:`, { headers });
  assert.deepEqual(
    tree.data.map(({ keyName, count }) => [keyName, count]).sort(),
    [["a:", 2], ["b", 0]],
  );
  const value = await ask(`/apiv2/key/${id}/tree:b`, { headers });
  assert.deepEqual(value, { ttl: -1, key: "tree:b", type: "string", value: "three" });
});
