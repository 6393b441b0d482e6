/** connect-redis with express-session: a visitor keeps a session, whichever node the server asks. */

const assert = require("node:assert/strict");
const express = require("express");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");
const { run, urls } = require("./program.cjs");

async function server(url) {
  const client = createClient({ url });
  await client.connect();
  const store = new RedisStore({ client, prefix: "session:", ttl: 100 });
  const app = express();
  app.use(session({ store, secret: "s", resave: false, saveUninitialized: false }));
  app.get("/visit", ({ session }, answer) => {
    session.visits = (session.visits ?? 0) + 1;
    answer.json({ visits: session.visits });
  });
  app.get("/leave", ({ session }, answer) => session.destroy(() => answer.json({})));
  return await new Promise((resolve) => {
    const listener = app.listen(0, "127.0.0.1", () => {
      resolve({ client, store, address: `http://127.0.0.1:${listener.address().port}` });
    });
  });
}

run(async () => {
  const [one, two] = [await server(urls[0]), await server(urls[1])];
  const first = await fetch(`${one.address}/visit`);
  assert.deepEqual(await first.json(), { visits: 1 });
  const headers = { cookie: first.headers.get("set-cookie").split(";")[0] };
  const visit = async (
    { address },
  ) => (await (await fetch(`${address}/visit`, { headers })).json());
  assert.deepEqual(await visit(two), { visits: 2 });
  assert.deepEqual(await visit(one), { visits: 3 });

  const [key] = await one.client.keys("session:*");
  const ttl = await two.client.ttl(key);
  assert.ok(ttl > 90 && ttl <= 100, `it ends after ${ttl} s`);
  assert.equal((await two.store.ids()).length, 1);
  assert.equal(await two.store.length(), 1);
  assert.equal((await two.store.all())[0].visits, 3);

  await fetch(`${two.address}/leave`, { headers });
  assert.deepEqual(await visit(one), { visits: 1 }, "a new session");
  await one.store.clear();
  assert.equal(await two.store.length(), 0);
});
