/** cache-manager over @keyv/redis: computed once, then found at every node until it expires. */

const assert = require("node:assert/strict");
const { createCache } = require("cache-manager");
const { createKeyv } = require("@keyv/redis");
const { run, until, urls } = require("./program.cjs");

run(async () => {
  const [one, two] = urls.slice(3, 5).map((url) => createCache({ stores: [createKeyv(url)] }));
  let computed = 0;
  const compute = () => ++computed;
  assert.equal(await one.wrap("key", compute, 60_000), 1);
  assert.equal(await two.wrap("key", compute, 60_000), 1);
  await one.mset([{ key: "a", value: "A" }, { key: "b", value: "B", ttl: 60_000 }]);
  assert.deepEqual(await two.mget(["a", "b", "c"]), ["A", "B", undefined]);
  assert.ok(await two.ttl("b") > Date.now());
  await two.set("brief", 1, 50);
  await until("it has expired", async () => await one.get("brief") === undefined);
  await two.del("key");
  assert.equal(await one.wrap("key", compute), 2);
  await one.mdel(["a", "b"]);
  assert.deepEqual(await two.mget(["a", "b"]), [undefined, undefined]);
});
