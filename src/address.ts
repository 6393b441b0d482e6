/**
 * Addresses of nodes: `host:port`, `[IPv6]:port`, or a host alone.
 *
 * @module
 */

import { UsageError } from "./errors.ts";
import { NODES_MAX } from "./limits.ts";

/** Where a node can be reached. */
export interface Address {
  readonly hostname: string;
  readonly port: number;
}

/**
 * Returns the port that `text` names.
 *
 * @param name the flag that it was given to, for the error
 * @throws {UsageError} if it is not a port from `min` to 65535.
 */
export function parsePort(text: string, name: string, min = 1): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (!(port >= min && port <= 65535)) {
    throw new UsageError(`${name} takes a port from ${min} to 65535, not "${text}"`);
  }
  return port;
}

/**
 * Returns the address that `text` names.
 *
 * @param options `defaultPort`: the port if none is given; `name`: the flag, for the error
 * @throws {UsageError} if it is not an address.
 */
export function parseAddress(
  text: string,
  options: { defaultPort: number; name: string },
): Address {
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:[\],]+))(?::(\d+))?$/.exec(text);
  const hostname = match?.[1] ?? match?.[2];
  if (hostname === undefined) {
    throw new UsageError(`${options.name} takes host or host:port, not "${text}"`);
  }
  const port = match?.[3];
  return {
    hostname: hostname.toLowerCase(),
    port: port === undefined ? options.defaultPort : parsePort(port, options.name),
  };
}

/** Returns how `address` is written. */
export function formatAddress(address: Address): string {
  const { hostname, port } = address;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Returns the addresses that a comma-separated list names, sorted, so that every node numbers the
 * nodes alike whatever order its list was given in.
 *
 * @throws {UsageError} if an entry is not an address or appears twice, or there are too many.
 */
export function parseAddressList(
  text: string,
  options: { defaultPort: number; name: string },
): Address[] {
  const addresses = text.split(",").map((entry) => parseAddress(entry.trim(), options));
  addresses.sort((a, b) => compare(formatAddress(a), formatAddress(b)));
  const seen = new Set<string>();
  for (const address of addresses) {
    const name = formatAddress(address);
    if (seen.has(name)) throw new UsageError(`${options.name} names ${name} twice`);
    seen.add(name);
  }
  if (addresses.length > NODES_MAX) {
    throw new UsageError(
      `${options.name} names ${addresses.length} nodes, but ${NODES_MAX} are the most`,
    );
  }
  return addresses;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
