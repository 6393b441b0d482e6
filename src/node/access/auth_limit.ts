/**
 * A bound on guesses: each source of connections may fail to authenticate a few times at once, and then
 * once a second. What is above that is refused unseen, a right password too: so a guess costs time even if
 * it is sent over many connections.
 *
 * A source is an IPv4 address, or the first half of an IPv6 address: the rest is a machine's own choice.
 *
 * @module
 */

/** So many failures at once. */
const FAILURES_MAX = 20;

/** One failure more is allowed after this time, in milliseconds. */
const FAILURE_MS = 1000;

/** So many sources are remembered; of one too many, the one that has failed least lately is forgotten. */
const SOURCES_MAX = 10_000;

/** A source is logged once in this time, in milliseconds. */
const SAY_MS = 60_000;

interface Source {
  /** When the last of its failures is forgiven. */
  freeAtMs: number;
  saidAtMs: number;
  unsaid: number;
}

/** What is known of the sources of one node. Times are of the monotonic clock, in milliseconds. */
export class AuthLimit {
  readonly #sources = new Map<string, Source>();

  /** Tells whether a source may try now. */
  mayTry(source: string, nowMs: number): boolean {
    const { freeAtMs } = this.#sources.get(source) ?? { freeAtMs: -Infinity };
    return freeAtMs - nowMs <= (FAILURES_MAX - 1) * FAILURE_MS;
  }

  /** A source has failed. Returns how many failures were not logged before this one, if it is to be. */
  failed(source: string, nowMs: number): number | undefined {
    const known = this.#sources.get(source);
    const entry = known ?? { freeAtMs: -Infinity, saidAtMs: -Infinity, unsaid: 0 };
    entry.freeAtMs = Math.min(
      Math.max(entry.freeAtMs, nowMs) + FAILURE_MS,
      nowMs + FAILURES_MAX * FAILURE_MS,
    );
    this.#sources.delete(source);
    this.#sources.set(source, entry);
    const [oldest] = this.#sources.keys();
    if (this.#sources.size > SOURCES_MAX && oldest !== undefined) this.#sources.delete(oldest);
    if (nowMs - entry.saidAtMs < SAY_MS) {
      entry.unsaid++;
      return undefined;
    }
    const { unsaid } = entry;
    entry.saidAtMs = nowMs;
    entry.unsaid = 0;
    return unsaid;
  }
}

/** Returns the source of an address with a port, such as `10.0.0.1:5000` or `[fe80::1]:5000`. */
export function sourceOf(address: string): string {
  const host = address.slice(0, Math.max(0, address.lastIndexOf(":"))).replace(/^\[(.*)\]$/, "$1");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!host.includes(":")) return host;
  const [head = "", tail] = host.split("%")[0]?.split("::") ?? [];
  const groups = (text: string | undefined) =>
    text === undefined || text === "" ? [] : text.split(":");
  const [first, last] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => "0");
  const all = tail === undefined ? first : [...first, ...zeros, ...last];
  return `${all.slice(0, 4).join(":")}::/64`;
}
