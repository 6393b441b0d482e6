/**
 * The versions of the protocol between nodes that this program speaks. Each node says in the handshake which
 * ones it speaks, and a link uses the newest that both do; so nodes of two releases in a row work together,
 * and a cluster goes from one to the next, and back, node by node. `docs/upgrade.md` says what a new version
 * may change, and when.
 *
 * @module
 */

/** Versions of the protocol between nodes: integers. */
export interface ProtocolRange {
  readonly oldest: number;
  readonly newest: number;
}

/** The oldest version that this program speaks: the newest of the release before. */
export const PROTOCOL_OLDEST = 8;

/** The newest version that this program speaks. */
export const PROTOCOL_NEWEST = 8;

/**
 * The versions that a node says that it speaks. Programs from before there were ranges say and know
 * `protocol` only, and talk to whoever says the same: so it is the oldest.
 */
export interface SaidProtocols {
  readonly protocol: number;
  /** The newest; absent if that is the oldest. */
  readonly newestProtocol?: number;
}

/** Returns what a node says of its versions. */
export function saidProtocols({ oldest, newest }: ProtocolRange): SaidProtocols {
  return { protocol: oldest, ...newest === oldest ? {} : { newestProtocol: newest } };
}

function rangeOf({ protocol, newestProtocol = protocol }: SaidProtocols): ProtocolRange {
  return { oldest: protocol, newest: newestProtocol };
}

/** Returns the newest version that two nodes both speak; `undefined` if there is none. */
export function commonProtocol(mine: SaidProtocols, theirs: SaidProtocols): number | undefined {
  const [own, other] = [rangeOf(mine), rangeOf(theirs)];
  const newest = Math.min(own.newest, other.newest);
  return newest < Math.max(own.oldest, other.oldest) ? undefined : newest;
}

/** Returns which versions a node speaks: `version 8`, or `versions 8 to 9`. */
export function describeProtocols(said: SaidProtocols): string {
  const { oldest, newest } = rangeOf(said);
  return oldest === newest ? `version ${oldest}` : `versions ${oldest} to ${newest}`;
}

/** What this program says of its versions. */
export const OWN_PROTOCOLS = saidProtocols({ oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST });
