/**
 * The certificate of a node: what it was given, whether that fits together, and who was refused for TLS.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Logger } from "@std/log";
import { type Address, formatAddress } from "../address.ts";
import { Seldom } from "../seldom.ts";
import type { TlsKeys, TlsServer } from "../tls.ts";
import type { TlsParameters, TlsPart } from "./commands/command.ts";
import { sourceOf } from "./access/auth_limit.ts";

/** What a node was given for TLS. */
export interface TlsSettings {
  readonly keys: TlsKeys;
  readonly demandsCertificates: boolean;
  readonly allowsPlain: boolean;
}

/** A source is logged once in this time for each kind of refusal, in milliseconds. */
const SAY_MS = 60_000;

/** So many sources and kinds are remembered; of one too many, what came first is forgotten. */
const SOURCES_MAX = 1000;

/** Warns of a certificate that ends within this time, in milliseconds. */
const SOON_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Returns what keeps `keys` from being used, without repeating any of them; `undefined` if nothing does.
 *
 * @param name how the error names a setting: `cert`, `key` or `ca`
 */
export function whyNotTheseKeys(
  { cert, key, ca }: TlsKeys,
  name: (part: "cert" | "key" | "ca") => string,
): string | undefined {
  if (cert === undefined) return `${name("cert")} is missing`;
  if (key === undefined) return `${name("key")} is missing`;
  const certificate = certificateOf(cert);
  if (certificate === undefined) return `${name("cert")} is no certificate in PEM`;
  try {
    const own = createPrivateKey(key);
    if (!certificate.checkPrivateKey(own)) return `${name("key")} is not that of ${name("cert")}`;
  } catch {
    return `${name("key")} is no private key in PEM without a password`;
  }
  if (ca !== undefined && certificateOf(ca) === undefined) {
    return `${name("ca")} is no certificate in PEM`;
  }
  return undefined;
}

function certificateOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** TLS at one node. */
export class NodeTls implements TlsServer, TlsParameters {
  keys: TlsKeys;
  readonly demandsCertificates: boolean;
  readonly allowsPlain: boolean;
  readonly #logger: Logger;
  /** By kind of refusal and source. */
  readonly #refused = new Map<string, Seldom>();

  constructor(settings: TlsSettings, logger: Logger) {
    this.keys = settings.keys;
    this.demandsCertificates = settings.demandsCertificates;
    this.allowsPlain = settings.allowsPlain;
    this.#logger = logger;
    this.#warnOfEnd();
  }

  get(part: TlsPart): string {
    const { cert = "", ca = "" } = this.keys;
    return part === "tls-cert" ? cert : part === "tls-ca" ? ca : "";
  }

  whyNot(changes: ReadonlyMap<string, string>): string | undefined {
    return whyNotTheseKeys(this.#with(changes), (part) => `tls-${part}`);
  }

  set(changes: ReadonlyMap<string, string>): void {
    const keys = this.#with(changes);
    const isSame = keys.cert === this.keys.cert && keys.key === this.keys.key &&
      keys.ca === this.keys.ca;
    if (isSame) return;
    this.keys = keys;
    this.#logger.info("connections get another certificate from now on");
    this.#warnOfEnd();
  }

  #with(changes: ReadonlyMap<string, string>): TlsKeys {
    const { cert, key, ca } = this.keys;
    return {
      cert: changes.get("tls-cert") ?? cert,
      key: changes.get("tls-key") ?? key,
      ca: changes.get("tls-ca") ?? ca,
    };
  }

  /** Logs it if the certificate has expired, or soon will have. */
  #warnOfEnd(): void {
    const { validTo } = new X509Certificate(this.keys.cert ?? "");
    const endsAt = Date.parse(validTo);
    if (endsAt - Date.now() > SOON_MS) return;
    const verb = endsAt < Date.now() ? "has expired" : "expires";
    this.#logger.warn(`the certificate of this node ${verb} on ${validTo}`);
  }

  onRefused(from: Address | undefined, reason: string): void {
    this.#sayRefused(from, reason, "connection");
  }

  /** A node asked for a link, and its connection does not speak TLS. */
  onPlainPeer(from: Address | undefined): void {
    this.#sayRefused(from, "it asks for a link between nodes without TLS", "peer");
  }

  /** Lines of one kind do not use up those of the other: many a source is a node and much else. */
  #sayRefused(from: Address | undefined, reason: string, kind: "connection" | "peer"): void {
    const source = from === undefined ? "" : sourceOf(formatAddress(from));
    const key = `${kind} ${source}`;
    let seldom = this.#refused.get(key);
    if (seldom === undefined) {
      seldom = new Seldom(SAY_MS);
      const [oldest] = this.#refused.keys();
      if (this.#refused.size >= SOURCES_MAX && oldest !== undefined) this.#refused.delete(oldest);
      this.#refused.set(key, seldom);
    }
    seldom.say((unsaid) => {
      const more = unsaid === 0 ? "" : `; so were ${unsaid} before it`;
      this.#logger.warn(`a connection from ${source} was refused: ${reason}${more}`);
    });
  }
}
