/**
 * Who the client is, and where it says so: flags, URLs, standard input.
 *
 * @module
 */

import { type Address, parseAddresses } from "../address.ts";
import { type ByteString, fromText } from "../byte_string.ts";
import { UsageError } from "../errors.ts";

/** A user of a cluster, and its password. */
export interface Credentials {
  /** `undefined` for the default user. */
  readonly user: ByteString | undefined;
  readonly password: ByteString;
}

/** What `--server` names: nodes, and perhaps who the client is. */
export interface Servers {
  readonly addresses: readonly Address[];
  /** By TLS: the URL begins with `rediss:`. */
  readonly isTls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
}

/**
 * Returns what a list of addresses names, or a URL:
 * `redis://[user][:password]@host[:port][,…][/0]`, or `rediss://…` for TLS.
 *
 * @throws {UsageError} if it names nothing. The error does not repeat a URL, which may have a password.
 */
export function parseServers(text: string, defaultPort: number): Servers {
  const options = { defaultPort, name: "--server" };
  const [, scheme, rest = ""] = /^([a-z+]+):\/\/([^]*)$/i.exec(text) ?? [];
  if (scheme === undefined) {
    const addresses = parseAddresses(text, options);
    return { addresses, isTls: false, user: undefined, password: undefined };
  }
  const isTls = scheme.toLowerCase() === "rediss";
  if (!isTls && scheme.toLowerCase() !== "redis") {
    throw new UsageError(`--server takes redis:// and rediss:// URLs, and no ${scheme}://`);
  }
  const at = rest.lastIndexOf("@");
  const [user, ...more] = rest.slice(0, Math.max(0, at)).split(":");
  const hosts = rest.slice(at + 1).replace(/\/0?$/, "");
  return {
    addresses: parseAddresses(hosts, options),
    isTls,
    user: decoded(user),
    password: more.length === 0 ? undefined : decoded(more.join(":")) ?? "",
  };
}

function decoded(word: string | undefined): string | undefined {
  if (word === undefined || word === "") return undefined;
  try {
    return decodeURIComponent(word);
  } catch {
    throw new UsageError("--server has a URL whose user or password is not percent-encoded");
  }
}

/**
 * Returns who the client is, if it is anybody. Flags stand before the URL.
 *
 * @throws {UsageError} if there is a user without a password.
 */
export function credentialsOf(
  { user, password }: { user: string | undefined; password: string | undefined },
): Credentials | undefined {
  if (password !== undefined) {
    return {
      user: user === undefined ? undefined : fromText(user),
      password: fromText(password),
    };
  }
  if (user === undefined) return undefined;
  throw new UsageError("--user needs a password: --pass -, or redis://USER:PASSWORD@HOST");
}
