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

import type { Address } from "./address.ts";

/** Most names that are looked up at a time. */
const LOOKUPS_MAX = 8;

/** A name has no address, or none that is known now: which of the two, a resolver often cannot say. */
export class UnknownHostError extends Error {
  override name = "UnknownHostError";
}

/** Finds what names stand for. */
export interface Resolver {
  /**
   * Returns the addresses of a host name, at least one.
   *
   * @throws {UnknownHostError} if there are none.
   */
  addressesOf(hostname: string): Promise<readonly string[]>;
  /**
   * Returns the hosts and ports of a service (an SRV record), at least one.
   *
   * @throws {UnknownHostError} if there are none.
   */
  servicesOf(name: string): Promise<readonly Address[]>;
}

/** Returns the addresses of a name, at least one. */
type LookUp = (hostname: string) => Promise<readonly string[]>;

/** Lookups under way. */
export class NameLookups implements Resolver {
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

  /** @param nameServer whom to ask; the system's resolvers, if not given */
  async servicesOf(name: string, nameServer?: Address): Promise<readonly Address[]> {
    const options = nameServer === undefined
      ? {}
      : { nameServer: { ipAddr: nameServer.hostname, port: nameServer.port } };
    let found: Deno.SrvRecord[] = [];
    let reason = "it is not known";
    try {
      found = await Deno.resolveDns(name, "SRV", options);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) reason = reasonOf(error);
    }
    const services = found.map(({ target, port }) => ({
      hostname: target.replace(/\.$/, "").toLowerCase(),
      port,
    }));
    if (services.length > 0) return services;
    throw new UnknownHostError(`the service "${name}" has no host now: ${reason}`);
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
