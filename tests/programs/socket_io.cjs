/** socket.io with its Redis adapter: two servers at two nodes, which tell each other's clients. */

const assert = require("node:assert/strict");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");
const { io } = require("socket.io-client");
const { run, until, urls } = require("./program.cjs");

async function server(url) {
  const [publisher, subscriber] = [createClient({ url }), createClient({ url })];
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const server = new Server({ adapter: createAdapter(publisher, subscriber) });
  server.on("connection", (socket) => {
    socket.on("join", (room, joined) => {
      socket.join(room);
      joined();
    });
  });
  server.on("question", (answer) => answer(url));
  server.listen(0);
  return { server, address: `http://127.0.0.1:${server.httpServer.address().port}` };
}

async function client({ address }) {
  const socket = io(address, { transports: ["websocket"] });
  const heard = [];
  socket.onAny((...words) => heard.push(words.join(" ")));
  await new Promise((resolve) => socket.on("connect", resolve));
  return { socket, heard };
}

run(async () => {
  const servers = [await server(urls[0]), await server(urls[3])];
  const [one, two] = servers.map(({ server }) => server);
  const [here, there] = [await client(servers[0]), await client(servers[1])];
  await there.socket.emitWithAck("join", "room");
  // The adapter does not say when it has subscribed: what another server sends before is lost.
  for (const each of [one, two]) {
    await until("the servers know of each other", async () => {
      return await each.of("/").adapter.serverCount() === 2;
    });
  }
  one.emit("all", "1");
  one.to("room").emit("room", "2");
  await until("both have heard", () => here.heard.length === 1 && there.heard.length === 2);
  assert.deepEqual(here.heard, ["all 1"]);
  assert.deepEqual(there.heard, ["all 1", "room 2"]);
  assert.equal((await two.fetchSockets()).length, 2);
  assert.deepEqual([...await one.of("/").adapter.allRooms()].includes("room"), true);
  assert.deepEqual(await one.serverSideEmitWithAck("question"), [urls[3]]);
  assert.equal(await one.of("/").adapter.serverCount(), 2);
  one.in("room").disconnectSockets();
  await until("it is disconnected", () => !there.socket.connected);
});
