/** koa-redis with koa-generic-session: a visitor keeps a session, whichever node the server asks. */

const assert = require("node:assert/strict");
const Koa = require("koa");
const session = require("koa-generic-session");
const redisStore = require("koa-redis");
const { ports, run } = require("./program.cjs");

async function server(port) {
  const store = redisStore({ host: "127.0.0.1", port });
  const app = new Koa();
  app.keys = ["k"];
  app.use(session({ store, ttl: 100_000 }));
  app.use((context) => {
    if (context.path === "/leave") context.session = null;
    else context.session.visits = (context.session.visits ?? 0) + 1;
    context.body = String(context.session?.visits);
  });
  return await new Promise((resolve) => {
    const listener = app.listen(0, "127.0.0.1", () => {
      resolve({ store, address: `http://127.0.0.1:${listener.address().port}` });
    });
  });
}

run(async () => {
  const [one, two] = [await server(ports[0]), await server(ports[4])];
  const first = await fetch(one.address);
  assert.equal(await first.text(), "1");
  const cookie = first.headers.getSetCookie().map((line) => line.split(";")[0]).join("; ");
  const visit = async ({ address }, path = "/") =>
    await (await fetch(address + path, { headers: { cookie } })).text();
  assert.equal(await visit(two), "2");
  assert.equal(await visit(one), "3");
  await visit(two, "/leave");
  assert.equal(await visit(one), "1");
  await one.store.quit();
});
