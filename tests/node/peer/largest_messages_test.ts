/** What a node sends at the most is accepted by the peer that reads it. */

import { assert, assertEquals } from "@std/assert";
import { FrameReader } from "../../../src/node/peer/frames.ts";
import { LinkOutput } from "../../../src/node/peer/link_output.ts";
import type { LinkMessage } from "../../../src/node/peer/messages.ts";
import { formatAddress, parseAddress } from "../../../src/address.ts";
import { fromText } from "../../../src/byte_string.ts";
import {
  KEYS_PER_COMMAND_MAX,
  NAME_BYTES_MAX,
  NODES_MAX,
  QUESTION_BYTES_MAX,
  TRANSACTIONS_MAX,
} from "../../../src/limits.ts";
import { parseQuestion, type Question, sharedConfig } from "../../../src/node/peer/handshake.ts";
import { incarnationBase, type Message, type View } from "../../../src/two_phase/messages.ts";
import { Replica } from "../../../src/two_phase/replica.ts";
import { Store } from "../../../src/two_phase/store.ts";
import { timingFor } from "../../../src/two_phase/timing.ts";
import { bothAt } from "../../two_phase/script.ts";

/** Returns what a peer reads of `messages` after they went over a link. */
function overLink(messages: readonly LinkMessage[]): LinkMessage[] {
  const output = new LinkOutput();
  for (const message of messages) output.add(message);
  const received: LinkMessage[] = [];
  const reader = new FrameReader();
  for (let bytes = output.next(); bytes !== undefined; bytes = output.next()) {
    for (let at = 0; at < bytes.length;) {
      const space = reader.space;
      const count = Math.min(space.length, bytes.length - at);
      space.set(bytes.subarray(at, at + count));
      reader.received(count);
      reader.drain((message) => received.push(message));
      at += count;
    }
    output.taken(bytes.length);
  }
  return received;
}

const VIEW: View = {
  number: 1,
  cluster: { id: "c" },
  ballot: 32,
  names: ["n0", "n1"],
  members: 0b1,
  journals: ["j0", "j1"],
  commits: [],
  bases: [incarnationBase(1), incarnationBase(1)],
};

/** Returns a key of few bytes; all of them differ. */
function tiny(index: number): string {
  const high = Math.floor(index / 256);
  return high === 0
    ? String.fromCharCode(index)
    : String.fromCharCode(high % 256, index % 256) + "x".repeat(Math.floor(high / 256));
}

/** A member that holds very many of the smallest keys there are, and a joiner. */
class Source {
  readonly #count = KEYS_PER_COMMAND_MAX + 5000;
  readonly #replica: Replica;
  readonly #store = new Store(0);

  constructor() {
    this.touchAll(1);
    this.#replica = new Replica({
      self: 0,
      names: ["n0", "n1"],
      identity: { journal: "j0", incarnation: 1, process: "p0" },
      timing: timingFor(5000),
      random: () => 0.5,
      now: bothAt(0),
      store: this.#store,
      records: [{ type: "view", view: VIEW }],
    });
    const identity = { journal: "j1", incarnation: 1, process: "p1", position: 0 };
    this.#replica.step({ type: "peerUp", peer: 1, identity }, bothAt(1));
    // The joiner hears all members: it is welcome.
    const heartbeat = { type: "heartbeat", view: 1, ballot: 32, incarnation: 1, round: 1 } as const;
    this.take({ ...heartbeat, position: 0, isStuck: false, hears: 0b11, forceMs: 0 });
  }

  touchAll(version: number): void {
    for (let i = 0; i < this.#count; i++) {
      this.#store.restore({ key: tiny(i), value: "", version });
    }
  }

  /** Handles a message from the joiner. Returns what this node sends it of its keys. */
  take(message: Message): Message[] {
    this.#replica.step({ type: "message", from: 1, message }, bothAt(2));
    const { sends, force, position } = this.#replica.takeEffects();
    if (force) this.#replica.step({ type: "forced", position }, bothAt(2));
    return sends.map((one) => one.message).filter(({ type }) => type === "joinChunk");
  }
}

Deno.test("a joiner accepts the chunks of a node with very many of the smallest keys", () => {
  const source = new Source();
  let chunks = source.take({ type: "joinRequest", view: 1, transfer: 0 });
  let entries = 0;
  let hasChanged = false;
  for (let last = -1; chunks.length > 0;) {
    assertEquals(overLink(chunks), chunks);
    const next: Message[] = [];
    for (const chunk of chunks) {
      assert(chunk.type === "joinChunk" && chunk.chunk === last + 1);
      last = chunk.chunk;
      entries += chunk.entries.length;
      const { view, transfer } = chunk;
      // Everything is overwritten once: what has changed goes into chunks of its own.
      if (!hasChanged && entries > KEYS_PER_COMMAND_MAX) {
        source.touchAll(2);
        hasChanged = true;
      }
      next.push(...source.take({ type: "joinAcknowledged", view, transfer, chunk: last }));
    }
    chunks = next;
  }
  assert(hasChanged && entries > 2 * KEYS_PER_COMMAND_MAX, `${entries} entries`);
});

Deno.test("a peer accepts the longest lists of every message that has a bound", () => {
  const many = Array.from({ length: TRANSACTIONS_MAX }, (_, i) => i + 1);
  const keys = Array.from({ length: KEYS_PER_COMMAND_MAX }, (_, i) => tiny(i));
  const numbers = Array.from({ length: NODES_MAX }, () => Number.MAX_SAFE_INTEGER);
  const texts = Array.from({ length: NODES_MAX }, (_, i) => `${i}`.padStart(300, "n"));
  const last = TRANSACTIONS_MAX + 1;
  const table = Array.from({ length: NODES_MAX }, (_, coordinator) =>
    many.map((number) => {
      return { coordinator, number, state: "prepared", follows: [] } as const;
    })).flat();
  const view: View = {
    ...VIEW,
    names: texts,
    journals: texts,
    bases: numbers,
    commits: table.map(({ coordinator, number }) => ({ coordinator, number })),
  };
  const prepare = { type: "prepare", view: 1, number: last, priority: 1, version: 1 } as const;
  const messages: LinkMessage[] = [
    { ...prepare, effects: keys.map((key) => ({ key, value: "" })), reads: [], follows: many },
    { ...prepare, effects: [], reads: keys, follows: [] },
    ...many.map((number) => ({ type: "commit", view: 1, number } as const)),
    { type: "recovered", view: 1, upTo: last, undecided: many },
    { type: "viewAccept", view: 1, ballot: 32, proposal: view },
    { type: "viewInstall", view: 1, chosen: view },
    {
      type: "viewPromise",
      view: 1,
      ballot: 32,
      journal: "j",
      installed: VIEW,
      isMember: true,
      isJoined: false,
      accepted: undefined,
      lastNumber: last,
      acknowledged: numbers,
      met: numbers,
      uptimeMs: 0,
      table,
      marks: numbers,
    },
  ];
  const plain = (all: readonly LinkMessage[]) => all.map((one) => JSON.stringify(one));
  assertEquals(plain(overLink(messages)).join() === plain(messages).join(), true);
});

Deno.test("a question of a node with the longest names is within its bound", () => {
  const host = (index: number) => {
    return [...[63, 63, 63].map((length) => "h".repeat(length)), `${index}`.padStart(61, "h")].join(
      ".",
    );
  };
  const addresses = Array.from({ length: NODES_MAX }, (_, index) => {
    return parseAddress(`${host(index)}:65535`, { defaultPort: 0, name: "test" });
  });
  const names = addresses.map(formatAddress);
  const [name = ""] = names;
  assertEquals(name.length, NAME_BYTES_MAX);
  const number = Number.MAX_SAFE_INTEGER;
  const id = crypto.randomUUID();
  const times = { leaseMs: number, suspicionMs: number, heartbeatMs: number };
  const question: Question = {
    purpose: "link",
    config: sharedConfig({
      keyBytesMax: number,
      valueBytesMax: number,
      ...times,
    }),
    instance: id,
    identity: { journal: id, incarnation: number, process: id, position: number },
    clusterPosition: {
      view: number,
      cluster: { id, origin: { by: name, at: 8.64e15, view: number } },
      names,
      listView: number,
    },
    isStartingCluster: false,
    uptimeMs: number / 2 + 0.125,
    known: { journal: id, incarnation: number, process: id, position: number },
    from: name,
    to: name,
    token: id,
  };
  const text = fromText(JSON.stringify(question));
  assert(text.length <= QUESTION_BYTES_MAX, `${text.length} of ${QUESTION_BYTES_MAX} bytes`);
  assertEquals(parseQuestion(text), question);
});
