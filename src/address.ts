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
    if (/^[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*(%\w+)?$/.test(text)) {
      throw new UsageError(`${options.name}: an IPv6 address stands in brackets: [${text}]`);
    }
    throw new UsageError(`${options.name} takes host or host:port, not "${text}"`);
  }
  const port = match?.[3];
  if (!isHost(hostname, match?.[1] !== undefined)) {
    throw new UsageError(`${options.name}: "${hostname}" is neither a host name nor an address`);
  }
  return {
    hostname: hostname.toLowerCase(),
    port: port === undefined ? options.defaultPort : parsePort(port, options.name),
  };
}

/**
 * Tells whether `host` can be one. A name that is not known may be known soon, so a node goes on with it;
 * what can never be a name is a mistake, and is best told at once.
 */
function isHost(host: string, isInBrackets: boolean): boolean {
  if (isInBrackets) return isIpv6(host);
  const labels = host.replace(/\.$/, "").split(".");
  if (labels.every((label) => /^\d+$/.test(label))) {
    return labels.length === 4 && labels.every((label) => Number(label) <= 255);
  }
  return host.length <= 253 && labels.every((label) => /^[\w-]{1,63}$/.test(label));
}

function isIpv6(host: string): boolean {
  const [address = ""] = host.split("%");
  return URL.canParse(`http://[${address}]/`);
}

/** Tells whether only processes of the same machine can reach this host. */
export function isLoopback(host: string): boolean {
  return host.toLowerCase() === "localhost" || host === "::1" || /^127(\.\d+){3}$/.test(host);
}

/** Returns how `address` is written. */
export function formatAddress(address: Address): string {
  const { hostname, port } = address;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Returns the addresses of the nodes of a cluster, sorted, so that every node numbers the nodes alike
 * whatever order its list was given in.
 *
 * @throws {UsageError} as {@linkcode parseAddresses}.
 */
export function parseAddressList(
  text: string,
  options: { defaultPort: number; name: string },
): Address[] {
  return parseAddresses(text, options)
    .sort((a, b) => compare(formatAddress(a), formatAddress(b)));
}

/**
 * Returns the addresses that a comma-separated list names, in its order.
 *
 * @throws {UsageError} if an entry is not an address or appears twice, or there are too many.
 */
export function parseAddresses(
  text: string,
  options: { defaultPort: number; name: string },
): Address[] {
  const addresses = text.split(",").map((entry) => parseAddress(entry.trim(), options));
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
