/**
 * Transfers to nodes outside the view that do not go smoothly: from two members at once, in parts that
 * take long, to a disk that is slow or stuck, or under many writes.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { timingFor } from "../../src/two_phase/timing.ts";
import { node, Script, write } from "./script.ts";

/** As much as fits in one part of a transfer, in bytes. */
const PART_BYTES = 128 * 1024;

function sum(script: Script, counter: "transfers" | "viewAttempts" | "joinersForced"): number {
  return script.replicas.reduce((all, { counters }) => all + counters[counter], 0);
}

/** The type of the message that was delivered last. */
function lastDelivered(script: Script): string {
  const line = script.log.findLast((one) => one.includes(" -> ")) ?? "";
  return line.split(" ")[5] ?? "";
}

function mayWrite(script: Script, ...nodes: readonly number[]): boolean {
  return nodes.every((index) => node(script, index).membership.mayWrite);
}

/**
 * Lets `ms` pass at the most. Each of `slow` takes in nothing for `partMs` after a part of a transfer.
 */
function goOn(
  script: Script,
  { slow, partMs, ms, until, eachStep = () => {} }: {
    slow: readonly number[];
    partMs: number;
    ms: number;
    until: () => boolean;
    /** Is called every 20 ms. */
    eachStep?: () => void;
  },
): void {
  const busyUntil = new Map<number, number>();
  const nodes = [...script.replicas.keys()];
  for (const end = script.now + ms; script.now < end && !until();) {
    eachStep();
    script.wait(20);
    for (let i = 0; i < 4; i++) {
      script.deliverAll((_from, to) => slow.includes(to));
      for (const to of slow) {
        const isBusy = () => script.now < (busyUntil.get(to) ?? 0);
        while (!isBusy() && nodes.some((from) => script.deliver(from, to))) {
          if (lastDelivered(script) === "joinChunk") busyUntil.set(to, script.now + partMs);
        }
      }
    }
    script.log.length = 0;
  }
}

Deno.test("two members that propose in turns do not undo each other's transfers", () => {
  const script = Script.complete(5, timingFor(5000));
  for (let i = 0; i < 32; i++) {
    script.ask(0, `w${i}`, write({ [`k${i}`]: "x".repeat(PART_BYTES) }));
  }
  script.deliverAll();
  script.kill(3);
  script.kill(4);
  script.goOnUntil(() => mayWrite(script, 0, 1, 2));
  // n3 and n4 are back, and one of them is needed for a majority: it takes n2 down before they join.
  script.start(3);
  script.start(4);
  script.kill(2);
  const before = sum(script, "transfers");
  const isOver = () => mayWrite(script, 0, 1);
  goOn(script, { slow: [3, 4], partMs: 150, ms: 30_000, until: isOver });
  assert(isOver(), "the members go on with one of those that are back");
  assert(sum(script, "viewAttempts") > 2, "it takes longer than an attempt is left alone");
  const transfers = sum(script, "transfers") - before;
  assert(transfers <= 8, `${transfers} transfers have begun`);
  script.ask(0, "W", write({ k: "1" }));
  goOn(script, { slow: [], partMs: 0, ms: 5000, until: () => script.outcomes.has("W") });
  assertEquals(script.outcomes.get("W"), { kind: "answered", reply: "OK" });
});

/** n2 of three, which was left out, is back. Returns the member that it asks for everything. */
function asking(script: Script): { source: number; other: number } {
  script.ask(0, "before", write({ k: "1" }));
  script.deliverAll();
  script.kill(2);
  script.goOnUntil(() => mayWrite(script, 0, 1));
  script.welcomeAll();
  script.start(2);
  const begun = () => [0, 1].filter((index) => node(script, index).transfers.length > 0);
  script.deliverUntil(() => begun().length > 0);
  const [source = 0] = begun();
  return { source, other: 1 - source };
}

/** For 5 s, parts of a message that is not whole yet come from `source` to n2, and nothing else does. */
function sendSlowly(script: Script, source: number): void {
  for (let i = 0; i < 250; i++) {
    script.wait(20);
    script.step(2, { type: "messagePart", from: source });
    script.deliverAll((from, to) => from === source && to === 2);
  }
}

Deno.test("a joiner asks no other member while its first part is on its way", () => {
  const script = Script.complete(3, timingFor(5000));
  const { source } = asking(script);
  sendSlowly(script, source);
  assertEquals(sum(script, "transfers"), 1);
  script.goOnUntil(() => mayWrite(script, 0, 1, 2));
  assertEquals(sum(script, "transfers"), 1);
});

Deno.test("a joiner whose source is gone waits for the first part of the next one", () => {
  const script = Script.complete(3, timingFor(5000));
  const { source, other } = asking(script);
  script.deliverUntil(() => node(script, 2).chunksReceived === 1);
  script.cut(source, 2);
  const count = () => node(script, other).counters.transfers;
  script.deliverUntil(() => count() === 1, (from, to) => from === other && to === 2);
  script.connect(source, 2);
  sendSlowly(script, other);
  assertEquals(sum(script, "transfers"), 2);
  script.goOnUntil(() => mayWrite(script, 0, 1, 2));
  assertEquals(sum(script, "transfers"), 2);
});

Deno.test("the last member reads while it sends everything to the node that it needs", () => {
  const script = Script.complete(3, timingFor(5000));
  for (let i = 0; i < 30; i++) {
    script.ask(0, `w${i}`, write({ [`k${i}`]: "x".repeat(PART_BYTES) }));
  }
  script.deliverAll();
  const { source, other } = asking(script);
  script.kill(other);
  const isIn = () => mayWrite(script, source, 2);
  const { membership } = node(script, source);
  const beganAt = script.now;
  let steps = 0;
  const eachStep = () => {
    if (!membership.mayRead(script.clocksOf(source))) steps++;
  };
  goOn(script, { slow: [2], partMs: 200, ms: 30_000, until: isIn, eachStep });
  assert(isIn(), "they go on");
  assert(script.now - beganAt > 5000, `after ${script.now - beganAt} ms`);
  assert(steps * 20 < 1500, `it could not read for ${steps * 20} ms`);
});

/** n2 of three, which was left out, is back, and each of its forces takes `forceMs`. */
class SlowDisk {
  readonly script: Script;
  forceMs: number;
  readonly #keys: number;
  #writes = 0;
  #force: { readonly beganAt: number; readonly count: number } | undefined;

  /** @param options `keys`: how many keys each write sets, of 6,000; `parts`: of so much n2 is sent first */
  constructor(forceMs: number, { keys = 1, parts = 0 } = {}) {
    this.script = Script.complete(3, timingFor(5000));
    this.forceMs = forceMs;
    this.#keys = keys;
    for (let i = 0; i < parts; i++) {
      this.script.ask(0, `p${i}`, write({ [`p${i}`]: "x".repeat(PART_BYTES) }));
    }
    this.script.deliverAll();
    this.script.kill(2);
    this.script.goOnUntil(() => mayWrite(this.script, 0, 1));
    this.script.welcomeAll();
    this.script.forcesAtOnce = false;
    this.script.start(2);
  }

  get view(): number {
    return node(this.script, 0).membership.view.number;
  }

  get writes(): number {
    return this.#writes;
  }

  /** n0 writes meanwhile. */
  goOn(ms: number, isOver: () => boolean = () => false): void {
    const { script } = this;
    for (const end = script.now + ms; script.now < end && !isOver();) {
      script.wait(20);
      if (this.#writes === 0 || script.outcomes.has(`W${this.#writes}`)) {
        this.#writes++;
        script.ask(0, `W${this.#writes}`, write(this.#values()));
      }
      for (let i = 0; i < 4; i++) {
        script.deliverAll();
        script.completeForces(0, 1);
        this.#carryOutForces();
      }
      script.log.length = 0;
    }
  }

  #values(): Record<string, string> {
    const first = this.#writes * this.#keys;
    const keys = Array.from({ length: this.#keys }, (_, index) => `k${(first + index) % 6000}`);
    return Object.fromEntries(keys.map((key) => [key, String(this.#writes)]));
  }

  /** One force after the other: each makes durable what was appended before it began. */
  #carryOutForces(): void {
    const { script } = this;
    const waiting = script.forcesUnderWay(2);
    if (this.#force !== undefined && script.now - this.#force.beganAt >= this.forceMs) {
      for (let i = 0; i < this.#force.count; i++) script.completeForce(2);
      this.#force = undefined;
    }
    if (waiting > 0) this.#force ??= { beganAt: script.now, count: script.forcesUnderWay(2) };
  }
}

Deno.test("a joiner whose forces take 0.6 s makes few views, and gets in once they are fast", () => {
  const cluster = new SlowDisk(600);
  const { script, view: first } = cluster;
  cluster.goOn(60_000);
  const isIn = () => mayWrite(script, 0, 1, 2);
  const views = cluster.view - first;
  assert(views <= 12, `${views} views in a minute`);
  assert(isIn() || cluster.writes > 2000, `${cluster.writes} writes in a minute`);
  cluster.forceMs = 0;
  cluster.goOn(121_000, isIn);
  assert(isIn(), "it is let in");
});

Deno.test("a joiner with a slow disk gets in while much changes, though its source is not the first member", () => {
  const cluster = new SlowDisk(100, { keys: 300 });
  const { script } = cluster;
  cluster.goOn(30_000, () => mayWrite(script, 0, 1, 2));
  assertEquals([0, 1].map((index) => node(script, index).counters.transfers), [0, 1]);
  assert(mayWrite(script, 0, 1, 2), "it is let in");
});

Deno.test("a joiner that is late while much changes is not sent everything again", () => {
  const cluster = new SlowDisk(600, { keys: 60, parts: 16 });
  const { script } = cluster;
  cluster.goOn(30_000);
  assert(node(script, 1).counters.joinsLate > 1, "views come without it");
  assertEquals(sum(script, "transfers"), 1);
  cluster.forceMs = 0;
  cluster.goOn(60_000, () => mayWrite(script, 0, 1, 2));
  assert(mayWrite(script, 0, 1, 2), "it is let in");
  assertEquals(sum(script, "transfers"), 1);
  script.forcesAtOnce = true;
  script.settle();
  const { store } = node(script, 0);
  assertEquals(node(script, 2).store.size, store.size);
  for (const { key } of store.entries()) {
    assertEquals(node(script, 2).store.recordOf(key), store.recordOf(key));
  }
});

Deno.test("a joiner that was too late is let in at once if it is needed", () => {
  const cluster = new SlowDisk(600);
  const { script } = cluster;
  const late = () => [0, 1].filter((index) => node(script, index).counters.joinsLate > 1);
  cluster.goOn(60_000, () => late().length > 0);
  const [source] = late();
  assert(source !== undefined, "a view comes without it");
  const killedAt = script.now;
  cluster.forceMs = 0;
  script.kill(1 - source);
  cluster.goOn(10_000, () => mayWrite(script, source, 2));
  assert(mayWrite(script, source, 2), `after ${script.now - killedAt} ms`);
  assert(script.now - killedAt < 4500, `after ${script.now - killedAt} ms`);
});

Deno.test("nothing is kept for a joiner whose disk hangs, and it gets in once it goes on", () => {
  const cluster = new SlowDisk(0);
  const { script } = cluster;
  cluster.goOn(10_000, () => (node(script, 2).chunksReceived ?? 0) > 0);
  cluster.forceMs = Infinity;
  const before = sum(script, "transfers");
  cluster.goOn(40_000);
  assertEquals([0, 1].map((index) => node(script, index).transfers), [[], []]);
  assert(sum(script, "transfers") <= before + 1, "no other member begins");
  cluster.forceMs = 0;
  cluster.goOn(10_000, () => mayWrite(script, 0, 1, 2));
  assert(mayWrite(script, 0, 1, 2), "it is let in");
});

Deno.test("a transfer goes on if the disk of the joiner hangs for a few seconds", () => {
  const cluster = new SlowDisk(0);
  const { script } = cluster;
  cluster.goOn(10_000, () => (node(script, 2).chunksReceived ?? 0) > 0);
  cluster.forceMs = Infinity;
  cluster.goOn(5000);
  cluster.forceMs = 0;
  cluster.goOn(10_000, () => mayWrite(script, 0, 1, 2));
  assert(mayWrite(script, 0, 1, 2), "it is let in");
  assertEquals(sum(script, "transfers"), 1);
});

/** Sets and deletes 12,000 keys at n0, of which n2, which has taken in its first part, hears nothing. */
function churn(script: Script): void {
  for (let from = 0; from < 12_000; from += 500) {
    const keys = Array.from({ length: 500 }, (_, index) => `churn${from + index}`);
    for (const value of ["1", undefined]) {
      script.ask(0, `${from} ${value}`, write(Object.fromEntries(keys.map((key) => [key, value]))));
      script.deliverAll((a, b) => a === 2 || b === 2);
    }
    script.log.length = 0;
  }
}

/** Sets as many new keys each time, and deletes those of the time before. */
function churning(script: Script, count: number): () => void {
  let turn = 0;
  return () => {
    const keys = (of: number, value: string | undefined) =>
      Array.from({ length: count }, (_, index) => [`churn${of}.${index}`, value] as const);
    const last = `churn ${turn}`;
    if (turn > 0 && !script.outcomes.has(last)) return;
    turn++;
    const values = Object.fromEntries([...keys(turn, "1"), ...keys(turn - 1, undefined)]);
    script.ask(0, `churn ${turn}`, write(values));
  };
}

Deno.test("a joiner that takes in what it is sent gets in, however many keys come and go", () => {
  const script = Script.complete(3, timingFor(5000));
  for (let i = 0; i < 60; i++) {
    script.ask(0, `w${i}`, write({ [`k${i}`]: "x".repeat(PART_BYTES) }));
  }
  script.deliverAll();
  asking(script);
  const before = sum(script, "transfers");
  const isIn = () => mayWrite(script, 0, 1, 2);
  const eachStep = churning(script, 100);
  goOn(script, { slow: [2], partMs: 150, ms: 30_000, until: isIn, eachStep });
  assert(isIn(), "it gets in");
  assertEquals(sum(script, "transfers"), before);
});

Deno.test("a joiner that is kept waiting is not sent more and more last", () => {
  const script = Script.complete(3, timingFor(5000));
  const { source } = asking(script);
  const { outbox, reachability } = node(script, source).context;
  const send = outbox.send.bind(outbox);
  let keysLast = 0;
  outbox.send = (to, message) => {
    if (message.type === "joinPart" || message.type === "joinFinal") {
      keysLast += message.entries.length;
    }
    send(to, message);
  };
  let isWelcome = false;
  reachability.isWelcome = () => isWelcome;
  const isIn = () => mayWrite(script, 0, 1, 2);
  const eachStep = churning(script, 20);
  goOn(script, { slow: [], partMs: 0, ms: 30_000, until: isIn, eachStep });
  assertEquals(isIn(), false);
  isWelcome = true;
  goOn(script, { slow: [], partMs: 0, ms: 5000, until: isIn, eachStep });
  assert(isIn(), "it gets in when it is welcome");
  assert(keysLast <= 600, `${keysLast} keys are in the last part`);
});

Deno.test("a transfer is ended when more keys have changed than there are", () => {
  const script = Script.complete(3, timingFor(5000));
  const { source } = asking(script);
  script.deliverUntil(() => node(script, 2).chunksReceived === 1, (from) => from === 2);
  churn(script);
  script.wait(20); // The first keys are on their way now.
  churn(script);
  script.wait(20);
  assertEquals(node(script, source).transfers.length, 1);
  for (let ms = 0; ms < 11_000; ms += 200) {
    script.wait(200);
    script.deliverAll((from) => from === 2);
  }
  assertEquals(node(script, source).transfers, []);
  script.goOnUntil(() => mayWrite(script, 0, 1, 2));
  assertEquals(node(script, 2).store.size, node(script, 0).store.size);
});

/**
 * n2 of three joins while n0 sets `values`, of which the next ones are given every 20 ms. What is on its way
 * to n2 and from it takes 40 ms. Returns whether it gets in within 20 s.
 */
function joinsUnder(values: (turn: number) => Record<string, string>): boolean {
  const script = Script.complete(3, timingFor(5000));
  asking(script);
  const isIn = () => mayWrite(script, 0, 1, 2);
  for (let turn = 0; turn < 1000 && !isIn(); turn++) {
    script.wait(20);
    script.ask(0, `W${turn}`, write(values(turn)));
    script.deliverAll((from, to) => from === 2 || to === 2);
    if (turn % 2 === 0) continue;
    const isToJoiner = turn % 4 === 1;
    script.deliverAll((_from, to) => (to === 2) !== isToJoiner);
    script.log.length = 0;
  }
  return isIn();
}

Deno.test("a joiner gets in while 1,200 keys change before it acknowledges a part", () => {
  const values = (turn: number) =>
    Object.fromEntries(
      Array.from({ length: 300 }, (_, index) => [`k${(turn * 300 + index) % 6000}`, String(turn)]),
    );
  assert(joinsUnder(values));
});

Deno.test("a joiner gets in while a key of 2 MiB is set all the time", () => {
  assert(joinsUnder((turn) => ({ large: `${turn}`.padEnd(2 * 1024 * 1024, "x") })));
});

Deno.test("a joiner gets in while 80 keys of 64 KiB change faster than they can be sent", () => {
  const value = "x".repeat(64 * 1024);
  const values = (turn: number) =>
    Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => [`k${(turn * 8 + index) % 80}`, value]),
    );
  assert(joinsUnder(values));
});
