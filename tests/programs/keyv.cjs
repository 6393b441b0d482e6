/** @keyv/redis: values with times to live, namespaces, and all that are in one. */

const assert = require("node:assert/strict");
const { default: Keyv } = require("keyv");
const { default: KeyvRedis } = require("@keyv/redis");
const { run, until, urls } = require("./program.cjs");

run(async () => {
  const [one, two] = urls.slice(0, 2).map((url) =>
    new Keyv({ store: new KeyvRedis(url), namespace: "keyv" })
  );
  const other = new Keyv({ store: new KeyvRedis(urls[2]), namespace: "other" });
  await other.set("a", "kept");
  await one.set("a", { deep: [1, 2] });
  assert.deepEqual(await two.get("a"), { deep: [1, 2] });
  assert.equal(await two.has("a"), true);
  await one.setMany([{ key: "b", value: 1 }, { key: "c", value: 2 }]);
  assert.deepEqual(await two.getMany(["a", "b", "nothing"]), [{ deep: [1, 2] }, 1, undefined]);

  await two.set("brief", "x", 50);
  await until("it has expired", async () => await one.get("brief") === undefined);

  const keys = [];
  for await (const [key] of two.store.iterator("keyv")) keys.push(key);
  assert.deepEqual(keys.sort(), ["keyv:a", "keyv:b", "keyv:c"]);
  assert.equal(await one.delete("a"), true);
  assert.equal(await two.get("a"), undefined);
  await two.clear();
  assert.deepEqual(await one.getMany(["b", "c"]), [undefined, undefined]);
  assert.equal(await other.get("a"), "kept", "another namespace");
});
