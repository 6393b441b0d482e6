/** @hapi/catbox-redis: a policy that generates what is not cached, and drops it. */

const assert = require("node:assert/strict");
const { Client, Policy } = require("@hapi/catbox");
const { Engine } = require("@hapi/catbox-redis");
const { ports, run, until } = require("./program.cjs");

run(async () => {
  let generated = 0;
  const caches = [];
  for (const port of ports.slice(2, 4)) {
    const client = new Client(Engine, { host: "127.0.0.1", port, partition: "catbox" });
    await client.start();
    const rule = {
      expiresIn: 60_000,
      generateTimeout: 5000,
      generateFunc: (id) => Promise.resolve(`${id} ${++generated}`),
    };
    caches.push({ client, policy: new Policy(rule, client, "segment") });
  }
  const [one, two] = caches;
  assert.equal(await one.policy.get("a"), "a 1");
  assert.equal(await two.policy.get("a"), "a 1");
  await two.policy.drop("a");
  assert.equal(await one.policy.get("a"), "a 2");
  const key = { segment: "segment", id: "brief" };
  await one.client.set(key, { x: 1 }, 1000);
  assert.deepEqual((await two.client.get(key)).item, { x: 1 });
  await until("it has expired", async () => await two.client.get(key) === null);
  for (const { client } of caches) await client.stop();
});
