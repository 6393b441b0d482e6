import { assertEquals, assertThrows } from "@std/assert";
import { MalformedError } from "../../../src/byte_reader.ts";
import { type ByteString, fromBytes } from "../../../src/byte_string.ts";
import { ByteWriter } from "../../../src/byte_writer.ts";
import { FrameReader, FrameWriter } from "../../../src/node/peer/frames.ts";
import { LinkOutput } from "../../../src/node/peer/link_output.ts";
import type { LinkMessage } from "../../../src/node/peer/messages.ts";
import { writePrepare } from "../../../src/transaction_codec.ts";
import {
  COMMAND_BYTES_MAX,
  FRAME_BYTES_MAX,
  FRAME_BYTES_TARGET,
  KEYS_PER_COMMAND_MAX,
  MESSAGE_BYTES_MAX,
  TRANSACTIONS_MAX,
} from "../../../src/limits.ts";
import { type Prepare, transactionNumber, type View } from "../../../src/two_phase/messages.ts";
import { feed, splits } from "../../harness/split.ts";

const ALL_BYTES = fromBytes(Uint8Array.from({ length: 256 }, (_, index) => index));
const NUMBER = transactionNumber(3, 7);

const VIEW: View = {
  number: 7,
  cluster: { id: "c1", origin: { by: "Zürich:5000", at: 1_790_000_000_000, view: 3 } },
  ballot: 98,
  names: ["a:1", "", "b:1"],
  members: 0b101,
  journals: ["j0", "", "j2"],
  commits: [{ coordinator: 2, number: NUMBER }],
  bases: [0, 0, NUMBER - 1],
  learners: [{ node: 2, replaces: 0, by: "ops@10.0.0.1", at: 1_700_000_000_000 }],
  change: {
    kind: "replace",
    name: "c:1",
    replaces: "a:1",
    by: "ops@10.0.0.1",
    at: 1_700_000_000_000,
    view: 3,
  },
};

const MESSAGES: LinkMessage[] = [
  {
    type: "prepare",
    view: 1,
    number: NUMBER,
    priority: 1_790_000_000_000_000,
    version: 1_790_000_000_000_001,
    effects: [
      { key: "k", value: "v" },
      { key: ALL_BYTES, value: ALL_BYTES },
      { key: "", value: undefined },
      { key: "empty", value: "", expiresAtMs: 1_790_000_000_000 },
    ],
    reads: ["r1", "r2"],
    follows: [NUMBER - 2, NUMBER - 1],
  },
  { type: "vote", view: 1, number: NUMBER, vote: "yes", reason: "none" },
  { type: "vote", view: 1, number: NUMBER + 1, vote: "yes", reason: "none" },
  { type: "vote", view: 1, number: NUMBER + 5, vote: "yes", reason: "none" },
  { type: "vote", view: 2, number: NUMBER + 6, vote: "yes", reason: "none" },
  { type: "vote", view: 1, number: NUMBER + 2, vote: "waiting", reason: "none" },
  { type: "vote", view: 1, number: NUMBER + 3, vote: "no", reason: "conflict" },
  { type: "vote", view: 1, number: NUMBER + 3, vote: "no", reason: "aborted" },
  { type: "commit", view: 1, number: NUMBER },
  { type: "commit", view: 1, number: NUMBER + 1 },
  { type: "abort", view: 1, number: NUMBER + 2 },
  { type: "abortAcknowledged", view: 1, number: NUMBER + 2 },
  { type: "withdrawn", view: 1, priority: 2 ** 52 + 1 },
  { type: "settled", view: 1, upTo: NUMBER },
  { type: "forget", view: 1, upTo: 0 },
  { type: "viewInstalled", view: 1, cluster: "c", isMember: true, isVerified: false },
  {
    type: "heartbeat",
    view: 1,
    ballot: 33,
    incarnation: 2,
    round: 7,
    position: 2 ** 40,
    isStuck: true,
    hears: 2 ** 31 - 1,
    forceMs: 0,
  },
  {
    type: "heartbeat",
    view: 1,
    ballot: 33,
    incarnation: 2,
    round: 8,
    position: 0,
    isStuck: false,
    hears: 0b101,
    forceMs: 312,
  },
  { type: "heartbeatAcknowledged", view: 1, incarnation: 2, round: 7, wallMs: 1000 },
  { type: "joinRequest", view: 3, transfer: 7 },
  {
    type: "joinChunk",
    view: 3,
    transfer: 5,
    chunk: 0,
    entries: [
      { key: "k\xff", value: "\0v", version: 9, expiresAtMs: 12 },
      { key: "gone", value: undefined, version: 8 },
    ],
  },
  {
    type: "joinPart",
    view: 3,
    transfer: 2 ** 40,
    ballot: 98,
    part: 1,
    entries: [{ key: "k", value: ALL_BYTES, version: 9 }],
    prepared: [],
  },
  {
    type: "joinFinal",
    view: 3,
    transfer: 2 ** 40,
    ballot: 98,
    parts: 2,
    entries: [],
    prepared: [],
    report: {
      table: [{ coordinator: 2, number: NUMBER, state: "prepared", follows: [NUMBER - 2] }],
      marks: [0, 0, NUMBER - 5],
    },
    clock: 1_790_000_000_000_001,
  },
  {
    type: "viewPromise",
    view: 7,
    ballot: 99,
    journal: "j0",
    installed: VIEW,
    isMember: true,
    isJoined: false,
    accepted: {
      ballot: 97,
      journal: "j2",
      proposal: { ...VIEW, cluster: { id: "" }, commits: [] },
    },
    lastNumber: NUMBER,
    acknowledged: [1, 0, 2],
    met: [1, 0, 1],
    uptimeMs: 1234,
    table: [{ coordinator: 0, number: NUMBER, state: "aborted", follows: [] }],
    marks: [NUMBER - 1, 0, 0],
  },
  {
    type: "viewPromise",
    view: 7,
    ballot: 99,
    journal: "j0",
    installed: VIEW,
    isMember: false,
    isJoined: true,
    accepted: undefined,
    lastNumber: 0,
    acknowledged: [],
    met: [],
    uptimeMs: 0,
    table: [],
    marks: [],
  },
  { type: "viewAccept", view: 7, ballot: 99, proposal: VIEW },
  { type: "viewInstall", view: 6, chosen: VIEW },
  { type: "taken", bytes: 200_000 },
  {
    type: "probe",
    sequence: 1,
    keys: 2 ** 40,
    requestsPerSecond: 3,
    hasLease: true,
    chunks: null,
  },
  { type: "probe", sequence: 2, keys: 0, requestsPerSecond: 0, hasLease: false, chunks: 0 },
  { type: "probeAnswer", sequence: 1 },
];

function encode(messages: readonly LinkMessage[]): Uint8Array<ArrayBuffer> {
  const output = outputOf(messages);
  return new Uint8Array(Array.from(pieces(output), (piece) => [...piece]).flat());
}

function outputOf(messages: readonly LinkMessage[]): LinkOutput {
  const output = new LinkOutput();
  for (const message of messages) output.add(message);
  return output;
}

/** Returns all that `output` has to send, to a peer that takes in everything at once. */
function* pieces(output: LinkOutput): Generator<Uint8Array> {
  for (let bytes = output.next(); bytes !== undefined; bytes = output.next()) {
    output.taken(bytes.length);
    yield bytes.slice();
  }
}

function decode(pieces: readonly Uint8Array[]): LinkMessage[] {
  const reader = new FrameReader();
  const messages: LinkMessage[] = [];
  const receive = (message: LinkMessage) => messages.push({ ...message });
  for (const piece of pieces) feed(reader, piece, () => reader.drain(receive));
  return messages;
}

Deno.test("FrameReader.drain() returns what FrameWriter was given when it is split anywhere", () => {
  const frames = [encode(MESSAGES), encode(MESSAGES.slice(3, 9))];
  const input = new Uint8Array([...frames.flatMap((frame) => [...frame])]);
  const expected = [...MESSAGES, ...MESSAGES.slice(3, 9)];
  for (const pieces of splits(input)) assertEquals(decode(pieces), expected);
});

Deno.test("writePrepare() writes a received prepare as it came, whatever came after it", () => {
  const sent = Array.from({ length: 5000 }, (_, index): Prepare => ({
    type: "prepare",
    view: 1,
    number: NUMBER + index,
    priority: 1_790_000_000_000_000,
    version: 1_790_000_000_000_001 + index,
    effects: [{ key: `key ${index}`, value: ALL_BYTES.slice(index % 256) }],
    reads: [],
    follows: [],
  }));
  const reader = new FrameReader();
  const received: Prepare[] = [];
  // Pieces that end anywhere, and fill several buffers.
  for (let bytes = encode(sent), at = 0; at < bytes.length; at += 12_345) {
    feed(reader, bytes.subarray(at, at + 12_345), () => {
      reader.drain((message) => {
        if (message.type === "prepare") received.push(message);
      });
    });
  }
  for (const _ of ["as it came", "encoded again"]) {
    assertEquals(received.map(encodingOf), sent.map(encodingOf));
  }
});

function encodingOf(prepare: Prepare): ByteString {
  const writer = new ByteWriter();
  writePrepare(writer, prepare);
  return fromBytes(writer.bytes);
}

Deno.test("FrameWriter writes a run when consecutive numbers get the same message", () => {
  const run = Array.from({ length: 1000 }, (_, index): LinkMessage => {
    return { type: "commit", view: 1, number: NUMBER + index };
  });
  assertEquals(encode(run).length < 20, true);
  assertEquals(decode([encode(run)]), run);
});

Deno.test("FrameWriter.reset() begins an empty frame", () => {
  const writer = new FrameWriter();
  writer.add({ type: "commit", view: 1, number: NUMBER });
  writer.reset();
  assertEquals(writer.isEmpty, true);
  writer.add({ type: "abort", view: 1, number: NUMBER });
  assertEquals(decode([writer.finish()]), [{ type: "abort", view: 1, number: NUMBER }]);
});

Deno.test("FrameReader.drain() returns messages larger than its buffer", () => {
  const value = "v".repeat(5_000_000);
  const message: LinkMessage = {
    type: "prepare",
    view: 1,
    number: NUMBER,
    priority: 1,
    version: 2,
    effects: [{ key: "k", value }],
    reads: [],
    follows: [],
  };
  assertEquals(decode([...pieces(outputOf([message, message]))]), [message, message]);
});

/** Returns the lengths of the frames in `bytes`. */
function frameLengths(bytes: Uint8Array<ArrayBuffer>): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const lengths: number[] = [];
  for (let at = 0; at < bytes.length; at += 4 + view.getUint32(at, true)) {
    lengths.push(view.getUint32(at, true));
  }
  return lengths;
}

Deno.test("FrameWriter ends a frame when it is long, so that only one message can make it longer", () => {
  const prepare = (number: number): LinkMessage => ({
    type: "prepare",
    view: 1,
    number: NUMBER + number,
    priority: 1,
    version: 2,
    effects: [{ key: `k${number}`, value: "v".repeat(1000) }],
    reads: [],
    follows: [],
  });
  const no = (number: number): LinkMessage => {
    return { type: "vote", view: 1, number: NUMBER + number, vote: "no", reason: "view" };
  };
  const commit = (number: number): LinkMessage => {
    return { type: "commit", view: 1, number: NUMBER + 2 * number };
  };
  for (const [message, count] of [[prepare, 5000], [no, 100_000], [commit, 100_000]] as const) {
    const messages = Array.from({ length: count }, (_, index) => message(index));
    const bytes = encode(messages);
    const lengths = frameLengths(bytes);
    assertEquals(lengths.length > 1, true);
    assertEquals(lengths.every((length) => length < FRAME_BYTES_TARGET + 1100), true);
    assertEquals(decode([bytes]), messages);
  }
});

Deno.test("LinkOutput sends the largest message in pieces, after others", () => {
  const keyBytes = 16;
  const valueBytes = COMMAND_BYTES_MAX / KEYS_PER_COMMAND_MAX - keyBytes;
  const value = "v".repeat(valueBytes);
  const largest: LinkMessage = {
    type: "prepare",
    view: Number.MAX_SAFE_INTEGER,
    number: Number.MAX_SAFE_INTEGER,
    priority: Number.MAX_SAFE_INTEGER,
    version: Number.MAX_SAFE_INTEGER,
    effects: Array.from({ length: KEYS_PER_COMMAND_MAX }, (_, index) => {
      return { key: String(index).padStart(keyBytes), value };
    }),
    reads: [],
    follows: Array.from({ length: TRANSACTIONS_MAX }, (_, index) => index),
  };
  const sent = [...pieces(outputOf([...MESSAGES, largest]))];
  const bytes = sent.reduce((sum, piece) => sum + piece.length, 0);
  assertEquals(bytes <= MESSAGE_BYTES_MAX, true, `${bytes}`);
  assertEquals(sent.every((piece) => piece.length <= FRAME_BYTES_MAX), true);
  assertEquals(decode(sent).length, MESSAGES.length + 1);
});

Deno.test("FrameReader.drain() throws when the bytes are no frames", () => {
  const frame = (...body: number[]) => Uint8Array.of(body.length, 0, 0, 0, ...body);
  const hostile: [bytes: Uint8Array, error: string][] = [
    [Uint8Array.of(255, 255, 255, 127), "a frame of 2147483647 bytes"],
    [Uint8Array.of(255, 255, 255, 255), "a frame of 2147483647 bytes"],
    [Uint8Array.of(3, 0, 0, 128, 1, 0, 0), "a piece without the message's length"],
    [Uint8Array.of(5, 0, 0, 128, 255, 255, 255, 255, 1), "a message of 4294967295 bytes"],
    [Uint8Array.of(6, 0, 0, 128, 1, 0, 0, 0, 5, 1), "longer than the rest of its message"],
    [Uint8Array.of(5, 0, 0, 128, 1, 0, 0, 0, 99), "an unknown kind of message: 99"],
    [frame(99), "an unknown kind of message: 99"],
    [frame(5), "the data ends in the middle of a number"],
    [frame(5, 1, 1, 255, 255, 255, 127), "messages in a run, but 16384 is the most"],
    [frame(1, 1, 1, 1, 1, 1, 8), "a key cannot have the flags 8"],
    [frame(1, 1, 1, 1, 1, 1, 1, 100, 0), "a string of 100 bytes, but only 1 are left"],
    [frame(1, 1, 1, 1, 1, 255, 255, 255, 127), "effects, but 65536 is the most"],
    [frame(4, 1, 1, 9), "an unknown reason"],
    [frame(8, 255, 255, 255, 255, 255, 255, 255, 255, 1), "longer than 53 bits"],
    [frame(10, 1, 100), "an unknown kind of message: 10"],
    [frame(14, 2, 91, 93), "a message about views that cannot be read"],
  ];
  for (const [bytes, error] of hostile) {
    assertThrows(() => decode([bytes]), MalformedError, error, String(bytes));
  }
});

Deno.test("FrameReader.drain() throws or returns, whatever bytes come", () => {
  const good = encode(MESSAGES);
  for (let at = 0; at < good.length; at++) {
    for (const bit of [1, 16, 128]) {
      const bad = good.slice();
      bad[at] = (bad[at] ?? 0) ^ bit;
      try {
        decode([bad]);
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
      }
    }
  }
});
