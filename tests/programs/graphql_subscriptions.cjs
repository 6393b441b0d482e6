/** graphql-redis-subscriptions: what is published at one node, subscribers at another get. */

const assert = require("node:assert/strict");
const { buildSchema, parse, subscribe } = require("graphql");
const { RedisPubSub } = require("graphql-redis-subscriptions");
const { ports, run, until } = require("./program.cjs");

run(async () => {
  const [one, two] = ports.slice(0, 2).map((port) =>
    new RedisPubSub({ connection: { host: "127.0.0.1", port } })
  );
  const schema = buildSchema("type Query { a: Int } type Subscription { said: String }");
  const rootValue = { said: () => two.asyncIterableIterator("SAID") };
  const document = parse("subscription { said }");
  const answers = (await subscribe({ schema, document, rootValue }))[Symbol.asyncIterator]();
  let answer;
  answers.next().then((next) => answer = next);
  await until("it is subscribed", async () => {
    const [, count] = await one.getPublisher().pubsub("NUMSUB", "SAID");
    return count === 1;
  });
  // The library loses what comes together with the confirmation, and NUMSUB may count before that.
  await until("it was told", async () => {
    await one.publish("SAID", { said: "hello" });
    return answer !== undefined;
  });
  assert.equal(answer.value.data.said, "hello");
  const heard = [];
  const id = await two.subscribe("room.*", (message) => heard.push(message), { pattern: true });
  await one.publish("room.1", "x");
  await until("it was heard", () => heard.length === 1);
  two.unsubscribe(id);
  await answers.return();
  await until("nobody listens", async () => {
    const publisher = one.getPublisher();
    return await publisher.pubsub("NUMPAT") === 0 &&
      (await publisher.pubsub("NUMSUB", "SAID"))[1] === 0;
  });
});
