/**
 * What `--cacert -` reads: whom the client believes, and perhaps what it shows.
 *
 * @module
 */

import { UsageError } from "../errors.ts";
import type { TlsKeys } from "../tls.ts";

/** The blocks of PEM: their kind, and the text between. */
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^]*?-----END \1-----/g;

/**
 * Returns what texts in PEM say: the certificates of authorities, and, if there is a private key, the
 * certificate that it belongs to, which is the client's own. With its own go all that are not signed by
 * themselves: one of them may stand between it and an authority of the nodes.
 *
 * @throws {UsageError} if there is no certificate, or the key fits none. The error repeats nothing of it.
 */
export async function parseTlsBundle(pem: string): Promise<TlsKeys> {
  const blocks = [...pem.matchAll(BLOCK)].map(([text, kind = ""]) => ({ text, kind }));
  const certificates = blocks.filter(({ kind }) => kind === "CERTIFICATE").map(({ text }) => text);
  if (certificates.length === 0) {
    throw new UsageError("--cacert - takes certificates in PEM, and standard input has none");
  }
  const [key, other] = blocks.filter(({ kind }) => kind.endsWith("PRIVATE KEY"));
  if (key === undefined) return { ca: certificates.join("\n") };
  if (other !== undefined) {
    throw new UsageError("--cacert - takes one private key, and standard input has more");
  }
  // Loaded on demand: few clients show a certificate.
  const { createPrivateKey, X509Certificate } = await import("node:crypto");
  let own: string | undefined;
  const between: string[] = [];
  try {
    const privateKey = createPrivateKey(key.text);
    own = certificates.find((text) => new X509Certificate(text).checkPrivateKey(privateKey));
    for (const text of certificates) {
      const { issuer, subject } = new X509Certificate(text);
      if (text !== own && issuer !== subject) between.push(text);
    }
  } catch {
    throw new UsageError(
      "--cacert - takes certificates and a private key without a password, in PEM: one on standard " +
        "input cannot be read",
    );
  }
  if (own === undefined) {
    throw new UsageError(
      "the private key on standard input belongs to none of the certificates there",
    );
  }
  const authorities = certificates.filter((text) => text !== own);
  return {
    cert: [own, ...between].join("\n"),
    key: key.text,
    ...authorities.length === 0 ? {} : { ca: authorities.join("\n") },
  };
}
