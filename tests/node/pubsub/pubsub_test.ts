/** Publish and subscribe between nodes whose links are queues. */

import { assert, assertEquals } from "@std/assert";
import type { Subscriber } from "../../../src/node/commands/command.ts";
import type { PubSubMessage } from "../../../src/node/pubsub/messages.ts";
import { PubSub } from "../../../src/node/pubsub/pubsub.ts";
import type { EncodedPush } from "../../../src/resp/encoder.ts";

/** Writes down what it is told. */
class Listener implements Subscriber {
  readonly told: string[] = [];

  tell(push: EncodedPush): void {
    this.told.push(push.in(2).split("\r\n").filter((_, at) => at > 0 && at % 2 === 0).join(" "));
  }
}

/** Nodes that are linked to each other; what they send waits until it is carried. */
class Cluster {
  readonly nodes: PubSub[];
  readonly sent: { from: number; to: number; message: PubSubMessage }[] = [];
  isFull = false;

  constructor(count: number) {
    this.nodes = Array.from({ length: count }, (_, from) =>
      new PubSub({
        send: (to, message) => {
          if (this.isFull && message.type === "publication") return false;
          this.sent.push({ from, to, message });
          return true;
        },
      }));
  }

  node(at: number): PubSub {
    const node = this.nodes[at];
    assert(node !== undefined);
    return node;
  }

  link(one: number, other: number): void {
    this.node(one).linkUp(other);
    this.node(other).linkUp(one);
  }

  linkAll(): void {
    for (let one = 0; one < this.nodes.length; one++) {
      for (let other = 0; other < one; other++) this.link(one, other);
    }
  }

  /** Carries what was sent, and what that brings about. */
  async carry(): Promise<void> {
    do {
      for (const { from, to, message } of this.sent.splice(0)) {
        this.node(to).receive(from, message);
      }
      await Promise.resolve();
    } while (this.sent.length > 0);
  }

  publications(): number {
    return this.sent.filter(({ message }) => message.type === "publication").length;
  }
}

Deno.test("publish() reaches the subscribers at all nodes, once, in order, and returns how many", async () => {
  const cluster = new Cluster(3);
  cluster.linkAll();
  const [here, there, both] = [new Listener(), new Listener(), new Listener()];
  cluster.node(0).subscribe("channel", "c", here);
  cluster.node(1).subscribe("channel", "c", there);
  cluster.node(1).subscribe("channel", "c", both);
  cluster.node(1).subscribe("pattern", "c*", both);
  await cluster.carry();
  assertEquals(cluster.node(0).publish("channel", "c", "1"), 4);
  assertEquals(cluster.node(0).publish("channel", "c", "2"), 4);
  assertEquals(cluster.publications(), 2, "one to the node that listens, none to the other");
  await cluster.carry();
  assertEquals(here.told, ["message c 1", "message c 2"]);
  assertEquals(there.told, ["message c 1", "message c 2"]);
  assertEquals(both.told, ["message c 1", "pmessage c* c 1", "message c 2", "pmessage c* c 2"]);
  assertEquals(cluster.node(2).publish("channel", "cat", "3"), 1);
  assertEquals(cluster.node(2).publish("channel", "x", "3"), 0);
  assertEquals(cluster.node(2).publish("shard", "c", "3"), 0, "shard channels are others");
  assertEquals(cluster.publications(), 1);
});

Deno.test("names() and count() tell of all nodes, and forget a node whose link is down", async () => {
  const cluster = new Cluster(2);
  const one = new Listener();
  cluster.node(1).subscribe("channel", "before", one);
  cluster.linkAll();
  cluster.node(0).subscribe("channel", "before", one);
  cluster.node(1).subscribe("pattern", "p*", one);
  await cluster.carry();
  assertEquals(cluster.node(0).count("channel", "before"), 2);
  assertEquals([...cluster.node(0).names("pattern")], ["p*"]);
  cluster.node(1).unsubscribe("pattern", "p*", one);
  await cluster.carry();
  assertEquals([...cluster.node(0).names("pattern")], []);
  cluster.node(0).linkDown(1);
  assertEquals(cluster.node(0).count("channel", "before"), 1);
  assertEquals(cluster.node(0).publish("channel", "before", "m"), 1);
  cluster.link(0, 1);
  await cluster.carry();
  assertEquals(cluster.node(0).count("channel", "before"), 2, "told again");
});

Deno.test("allKnow() resolves when all linked nodes have said that they know", async () => {
  const cluster = new Cluster(3);
  const one = new Listener();
  cluster.node(0).subscribe("channel", "alone", one);
  assertEquals(cluster.node(0).allKnow(), undefined, "there is no node to wait for");
  cluster.linkAll();
  await cluster.carry();
  cluster.node(0).subscribe("channel", "c", one);
  let isKnown = false;
  const known = cluster.node(0).allKnow();
  assert(known !== undefined);
  known.then(() => isKnown = true);
  const [first, ...others] = cluster.sent.splice(0);
  assert(first !== undefined && others.length === 1);
  cluster.sent.push(first);
  await cluster.carry();
  await Promise.resolve();
  assertEquals(isKnown, false, "the other one has not");
  cluster.sent.push(...others);
  await cluster.carry();
  await known;
  assertEquals(cluster.node(0).allKnow(), undefined);

  cluster.node(0).subscribe("channel", "d", one);
  const without = cluster.node(0).allKnow();
  cluster.node(0).linkDown(1);
  cluster.node(0).linkDown(2);
  await without; // Nobody is left.
});

Deno.test("publish() drops a message for a node that reads too slowly, and counts it", async () => {
  const cluster = new Cluster(2);
  cluster.linkAll();
  const one = new Listener();
  cluster.node(1).subscribe("channel", "c", one);
  await cluster.carry();
  cluster.isFull = true;
  assertEquals(cluster.node(0).publish("channel", "c", "1"), 0);
  assertEquals(cluster.node(0).dropped, 1);
});

Deno.test("a subscription of many names is sent in parts, and acknowledged once", async () => {
  const cluster = new Cluster(2);
  cluster.linkAll();
  await cluster.carry();
  const one = new Listener();
  for (let at = 0; at < 10; at++) {
    cluster.node(0).subscribe("channel", `${at}${"x".repeat(20_000)}`, one);
  }
  const known = cluster.node(0).allKnow();
  assertEquals(cluster.sent.length, 3);
  await cluster.carry();
  await known;
  assertEquals(cluster.node(1).names("channel").size, 10);
});
