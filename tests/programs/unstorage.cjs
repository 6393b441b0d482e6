/** unstorage with its Redis driver, which uses ioredis: items, their keys, and times to live. */

const assert = require("node:assert/strict");
const { createStorage } = require("unstorage");
const driver = require("unstorage/drivers/redis");
const { run, until, urls } = require("./program.cjs");

run(async () => {
  const [one, two] = urls.slice(1, 3).map((url) =>
    createStorage({ driver: driver({ base: "storage", url }) })
  );
  await one.setItem("pages:a", { title: "A" });
  await one.setItem("pages:b", "B");
  await one.setItemRaw("bytes", Buffer.from([0, 255, 10, 13]));
  assert.deepEqual(await two.getItem("pages:a"), { title: "A" });
  assert.deepEqual([...await two.getItemRaw("bytes")], [0, 255, 10, 13]);
  assert.deepEqual((await two.getKeys()).sort(), ["bytes", "pages:a", "pages:b"]);
  assert.deepEqual((await two.getKeys("pages")).sort(), ["pages:a", "pages:b"]);
  assert.deepEqual(
    (await two.getItems(["pages:a", "pages:b"])).map(({ value }) => value),
    [{ title: "A" }, "B"],
  );
  await two.setItem("brief", 1, { ttl: 1 });
  assert.equal(await one.hasItem("brief"), true);
  await until("it has expired", async () => !await one.hasItem("brief"));
  await two.removeItem("pages:a");
  assert.equal(await one.getItem("pages:a"), null);
  await one.clear();
  assert.deepEqual(await two.getKeys(), []);
});
