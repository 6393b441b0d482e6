/**
 * The addresses of host names.
 *
 * A lookup takes a thread of the runtime for as long as the system's resolver takes, which may be many
 * seconds, and cannot be called off. The runtime has few of them, and the journal and the log need some,
 * too. So a name that is being looked up is not looked up a second time, and only a few names are at a
 * time.
 *
 * @module
 */

/** Most names that are looked up at a time. */
const LOOKUPS_MAX = 8;

/** A name has no address, or none that is known now: which of the two, a resolver often cannot say. */
export class UnknownHostError extends Error {
  override name = "UnknownHostError";
}

/** Returns the addresses of a name, at least one. */
type LookUp = (hostname: string) => Promise<readonly string[]>;

/** Lookups under way. */
export class NameLookups {
  readonly #lookUp: LookUp;
  readonly #underWay = new Map<string, Promise<readonly string[]>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** @param lookUp asks the resolver, the system's if not given */
  constructor(lookUp: LookUp = askSystem) {
    this.#lookUp = lookUp;
  }

  /**
   * Returns the addresses of `hostname`; an address has itself.
   *
   * @throws {UnknownHostError} if there are none.
   */
  addressesOf(hostname: string): Promise<readonly string[]> {
    if (isIpAddress(hostname)) return Promise.resolve([hostname]);
    const underWay = this.#underWay.get(hostname) ?? this.#begin(hostname);
    this.#underWay.set(hostname, underWay);
    return underWay;
  }

  async #begin(hostname: string): Promise<readonly string[]> {
    while (this.#running >= LOOKUPS_MAX) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
    try {
      return await this.#lookUp(hostname);
    } finally {
      this.#running--;
      this.#underWay.delete(hostname);
      this.#waiting.shift()?.();
    }
  }
}

function isIpAddress(hostname: string): boolean {
  return hostname.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(hostname);
}

async function askSystem(hostname: string): Promise<readonly string[]> {
  // Loaded when it is needed: addresses do without.
  const { lookup } = await import("node:dns/promises");
  try {
    const found = await lookup(hostname, { all: true });
    if (found.length > 0) return found.map(({ address }) => address);
  } catch (error) {
    throw new UnknownHostError(
      `the host name "${hostname}" has no address now: ${reasonOf(error)}`,
    );
  }
  throw new UnknownHostError(`the host name "${hostname}" has no address now`);
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ENOTFOUND":
    case "EAI_NONAME":
      return "it is not known";
    case "EAI_AGAIN":
      return "the resolver does not answer, or not for good";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
