/**
 * The bytes of views and of reports on their transactions, for messages between nodes and for the
 * journal.
 *
 * ```text
 * view    = number cluster ballot names members journals commits bases learners change
 * cluster = id 0 | id 1 by at view
 * learner = node, the id that it replaces + 1 or 0, by, at
 * change  = 0 | 1 kind name replaces by at view     replaces: "" for nobody
 * report  = table marks
 * table   = (coordinator number state follows)*     state: 0 prepared, 1 committed, 2 aborted
 * ```
 *
 * A list has its length before it. Integers are varints and byte strings have their length before
 * them (`byte_writer.ts`). The numbers in `follows` are given as the distance from the
 * transaction's own number.
 *
 * @module
 */

import { type ByteReader, MalformedError } from "./byte_reader.ts";
import { fromText, toText } from "./byte_string.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { NODES_MAX, TRANSACTIONS_MAX } from "./limits.ts";
import { readPrepare, writePrepare } from "./transaction_codec.ts";
import type {
  ClusterId,
  Learner,
  ListChange,
  NodeId,
  PreparedRecord,
  TableEntry,
  TransactionReport,
  View,
} from "./two_phase/messages.ts";

/** Most transactions in one table: all that the coordinators run, and those that ended lately. */
const TABLE_MAX = 2 * NODES_MAX * TRANSACTIONS_MAX;

const STATES: readonly TableEntry["state"][] = ["prepared", "committed", "aborted"];

export function writeView(writer: ByteWriter, view: View): void {
  writer.varint(view.number);
  writeCluster(writer, view.cluster);
  writer.varint(view.ballot);
  writeTexts(writer, view.names);
  writer.varint(view.members);
  writeTexts(writer, view.journals);
  writeItems(writer, view.commits, ({ coordinator, number }) => {
    writer.varint(coordinator);
    writer.varint(number);
  });
  writeNumbers(writer, view.bases);
  writeItems(writer, view.learners ?? [], (learner) => writeLearner(writer, learner));
  writeChange(writer, view.change);
}

/** @throws {MalformedError} if there is none. */
export function readView(reader: ByteReader): View {
  const view = {
    number: reader.varint(),
    cluster: readCluster(reader),
    ballot: reader.varint(),
    names: readTexts(reader),
    members: reader.varint(),
    journals: readTexts(reader),
    commits: readItems(reader, TABLE_MAX, "transactions", () => {
      return { coordinator: readNodeId(reader), number: reader.varint() };
    }),
    bases: readNumbers(reader),
  };
  const learners = readItems(reader, NODES_MAX, "learners", () => readLearner(reader));
  const change = readChange(reader);
  return {
    ...view,
    ...learners.length > 0 ? { learners } : {},
    ...change !== undefined ? { change } : {},
  };
}

const CHANGE_KINDS: readonly ListChange["kind"][] = [
  "add",
  "remove",
  "replace",
  "cancel",
  "admit",
];

function writeLearner(writer: ByteWriter, { node, replaces, by, at }: Learner): void {
  writer.varint(node);
  writer.varint(replaces === undefined ? 0 : replaces + 1);
  writeText(writer, by);
  writer.varint(at);
}

function readLearner(reader: ByteReader): Learner {
  const node = readNodeId(reader);
  const replaces = reader.count(NODES_MAX, "as the id of a node and 1");
  return {
    node,
    ...replaces === 0 ? {} : { replaces: replaces - 1 },
    by: readText(reader),
    at: reader.varint(),
  };
}

function writeChange(writer: ByteWriter, change: ListChange | undefined): void {
  writer.uint8(change === undefined ? 0 : 1);
  if (change === undefined) return;
  writer.uint8(CHANGE_KINDS.indexOf(change.kind));
  writeText(writer, change.name);
  writeText(writer, change.replaces ?? "");
  writeText(writer, change.by);
  writer.varint(change.at);
  writer.varint(change.view);
}

function readChange(reader: ByteReader): ListChange | undefined {
  if (reader.uint8() === 0) return undefined;
  const kind = CHANGE_KINDS[reader.uint8()];
  if (kind === undefined) throw new MalformedError("an unknown kind of change");
  const name = readText(reader);
  const replaces = readText(reader);
  return {
    kind,
    name,
    ...replaces === "" ? {} : { replaces },
    by: readText(reader),
    at: reader.varint(),
    view: reader.varint(),
  };
}

function writeCluster(writer: ByteWriter, { id, origin }: ClusterId): void {
  writeText(writer, id);
  writer.uint8(origin === undefined ? 0 : 1);
  if (origin === undefined) return;
  writeText(writer, origin.by);
  writer.varint(origin.at);
  writer.varint(origin.view);
}

function readCluster(reader: ByteReader): ClusterId {
  const id = readText(reader);
  if (reader.uint8() === 0) return { id };
  return {
    id,
    origin: { by: readText(reader), at: reader.varint(), view: reader.varint() },
  };
}

export function writeReport(writer: ByteWriter, { table, marks }: TransactionReport): void {
  writeItems(writer, table, ({ coordinator, number, state, follows }) => {
    writer.varint(coordinator);
    writer.varint(number);
    writer.uint8(STATES.indexOf(state));
    writeItems(writer, follows, (one) => writer.varint(number - one));
  });
  writeNumbers(writer, marks);
}

/** @throws {MalformedError} if there is none. */
export function readReport(reader: ByteReader): TransactionReport {
  return {
    table: readItems(reader, TABLE_MAX, "transactions", () => readTableEntry(reader)),
    marks: readNumbers(reader),
  };
}

function readTableEntry(reader: ByteReader): TableEntry {
  const coordinator = readNodeId(reader);
  const number = reader.varint();
  const state = STATES[reader.uint8()];
  if (state === undefined) throw new MalformedError("a transaction in an unknown state");
  const follows = readItems(reader, TRANSACTIONS_MAX, "transactions", () => {
    return number - reader.varint();
  });
  return { coordinator, number, state, follows };
}

export function writePreparedRecord(
  writer: ByteWriter,
  { coordinator, prepare }: PreparedRecord,
): void {
  writer.varint(coordinator);
  writePrepare(writer, prepare);
}

/** @throws {MalformedError} if there is none. */
export function readPreparedRecord(reader: ByteReader): PreparedRecord {
  return { type: "prepared", coordinator: readNodeId(reader), prepare: readPrepare(reader) };
}

/** @throws {MalformedError} if there is none. */
export function readNodeId(reader: ByteReader): NodeId {
  return reader.count(NODES_MAX - 1, "as the id of a node");
}

/** Writes one number for each node id. */
export function writeNumbers(writer: ByteWriter, numbers: readonly number[]): void {
  writeItems(writer, numbers, (number) => writer.varint(number));
}

/** @throws {MalformedError} if there is none. */
export function readNumbers(reader: ByteReader): readonly number[] {
  return readItems(reader, NODES_MAX, "numbers", () => reader.varint());
}

function writeTexts(writer: ByteWriter, texts: readonly string[]): void {
  writeItems(writer, texts, (text) => writeText(writer, text));
}

function readTexts(reader: ByteReader): readonly string[] {
  return readItems(reader, NODES_MAX, "names", () => readText(reader));
}

export function writeText(writer: ByteWriter, text: string): void {
  writer.byteString(fromText(text));
}

/** @throws {MalformedError} if there is none. */
export function readText(reader: ByteReader): string {
  const text = toText(reader.byteString());
  if (text === undefined) throw new MalformedError("a text that is not UTF-8");
  return text;
}

/** Writes the number of items, and then each item with `write`. */
export function writeItems<Item>(
  writer: ByteWriter,
  items: readonly Item[],
  write: (item: Item) => void,
): void {
  writer.varint(items.length);
  for (const item of items) write(item);
}

/**
 * Reads what {@linkcode writeItems} wrote.
 *
 * @throws {MalformedError} if there are more than `max`; `name` says what they are.
 */
export function readItems<Item>(
  reader: ByteReader,
  max: number,
  name: string,
  read: () => Item,
): readonly Item[] {
  const count = reader.count(max, name);
  const items: Item[] = [];
  for (let i = 0; i < count; i++) items.push(read());
  return items;
}
