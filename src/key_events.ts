/**
 * What happens to keys, by the names that Redis's keyspace events have. An effect carries the events of
 * its key as a byte string of one code each; one without them has the event that its value implies.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";
import type { Effect } from "./two_phase/messages.ts";

/** The name and the class of each event, by its code. The codes are on disk: they do not change. */
const EVENTS: readonly (readonly [name: string, kind: KeyEventKind])[] = [
  ["set", "$"],
  ["del", "g"],
  ["expire", "g"],
  ["expired", "x"],
  ["persist", "g"],
  ["rename_from", "g"],
  ["rename_to", "g"],
  ["copy_to", "g"],
  ["incrby", "$"],
  ["incrbyfloat", "$"],
  ["append", "$"],
  ["setrange", "$"],
  ["setbit", "$"],
];

/** Redis's letters for classes of events: of strings, of all keys, of expiry. */
export type KeyEventKind = "$" | "g" | "x";

/** An event of a key. */
export interface KeyEvent {
  readonly name: string;
  readonly kind: KeyEventKind;
}

const BY_CODE: readonly KeyEvent[] = EVENTS.map(([name, kind]) => ({ name, kind }));

/** The codes of the events, each as a byte string. */
export const EVENT: {
  readonly [
    Name in
      | "set"
      | "del"
      | "expire"
      | "expired"
      | "persist"
      | "renameFrom"
      | "renameTo"
      | "copyTo"
      | "incrby"
      | "incrbyfloat"
      | "append"
      | "setrange"
      | "setbit"
  ]: ByteString;
} = {
  set: "\0",
  del: "\x01",
  expire: "\x02",
  expired: "\x03",
  persist: "\x04",
  renameFrom: "\x05",
  renameTo: "\x06",
  copyTo: "\x07",
  incrby: "\x08",
  incrbyfloat: "\x09",
  append: "\x0a",
  setrange: "\x0b",
  setbit: "\x0c",
};

/** Returns the codes of what happens to the key of an effect, in order. */
export function eventsOf({ value, events }: Effect): ByteString {
  return events ?? (value === undefined ? EVENT.del : EVENT.set);
}

/** Returns what the codes stand for. Codes of a later version are left out. */
export function namedEvents(codes: ByteString): KeyEvent[] {
  return Array.from(codes, (code) => BY_CODE[code.charCodeAt(0)]).filter((event) =>
    event !== undefined
  );
}
