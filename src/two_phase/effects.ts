/**
 * What a transaction does to the store: which entries it locks, and how its effects are applied.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { invariant } from "../invariant.ts";
import { EVENT, eventsOf } from "../key_events.ts";
import type { Effect, Prepare } from "./messages.ts";
import type { Entry, Transaction } from "./state.ts";
import type { Store } from "./store.ts";

/** Returns the entries that `prepare` locks: those it writes, then those it only reads. */
export function entriesOf(store: Store, prepare: Prepare): Entry[] {
  const [first] = prepare.effects;
  if (first !== undefined && prepare.effects.length === 1 && prepare.reads.length === 0) {
    return [store.entryOf(first.key)]; // The most frequent case, done without a closure.
  }
  const entries = prepare.effects.map((effect) => store.entryOf(effect.key));
  for (const key of prepare.reads) entries.push(store.entryOf(key));
  return entries;
}

/** Applies effects that a checkpoint may have stored already, along with later ones. */
export function applyEffectsAgain(store: Store, transaction: Transaction): void {
  const { prepare } = transaction;
  invariant(prepare !== undefined, "a transaction without content cannot be committed");
  for (const { key, value, expiresAtMs } of prepare.effects) {
    const entry = store.entryOf(key);
    if (prepare.version > entry.version) store.write(entry, value, prepare.version, expiresAtMs);
  }
}

/** Applies the effects of `transaction`, which is committed. */
export function applyEffects(store: Store, transaction: Transaction): void {
  const { prepare, entries } = transaction;
  invariant(prepare !== undefined, "a transaction without content cannot be committed");
  if (transaction.mayBeStored) {
    applyEffectsAgain(store, transaction);
    return;
  }
  for (let i = 0; i < prepare.effects.length; i++) {
    const effect = prepare.effects[i];
    const entry = entries[i];
    if (effect === undefined) continue;
    // Entries are mostly in the order of the effects; if not, look them up in the store.
    const isSame = entry !== undefined && entry.key === effect.key;
    const target = isSame ? entry : store.entryOf(effect.key);
    store.write(target, effect.value, prepare.version, effect.expiresAtMs);
  }
}

/** Returns `effects` with the deletion of those of `keys` on which there is none. */
export function withDeletions(
  effects: readonly Effect[],
  keys: Iterable<ByteString>,
): readonly Effect[] {
  const expired = new Set(keys);
  if (effects.length === 0) return Array.from(expired, deletionOf);
  const all = effects.map((effect) =>
    expired.delete(effect.key) ? { ...effect, events: EVENT.expired + eventsOf(effect) } : effect
  );
  for (const key of expired) all.push(deletionOf(key));
  return all;
}

function deletionOf(key: ByteString): Effect {
  return { key, value: undefined, events: EVENT.expired };
}

const NO_KEYS: readonly ByteString[] = [];

/** Returns the keys of `entries` that have no effect. */
export function keysOnlyRead(
  entries: readonly Entry[],
  effects: Prepare["effects"],
): readonly ByteString[] {
  if (effects.length === entries.length) return NO_KEYS;
  const written = new Set(effects.map((effect) => effect.key));
  return entries.map((entry) => entry.key).filter((key) => !written.has(key));
}
