/**
 * The cluster secret: how two nodes prove to each other that they know it, without telling it.
 *
 * Both nodes of a connection choose a nonce for it, and each proves what it says by an HMAC-SHA-256 under
 * the secret:
 *
 * ```text
 * asker                                            asked
 *   │ DKS.PEER {"nonce": a}                          │
 *   ├───────────────────────────────────────────────►│
 *   │                                 {"nonce": b}   │
 *   │◄───────────────────────────────────────────────┤
 *   │ DKS.PEER question HMAC("asks", a, b, question) │
 *   ├───────────────────────────────────────────────►│ right: it looks at the question
 *   │    answer, HMAC("answers", a, b, question, answer)
 *   │◄───────────────────────────────────────────────┤
 *   │ right: it looks at the answer                  │
 * ```
 *
 * Question and answer say who each of the two is, for what, and whom a link is for (`handshake.ts`); so a
 * proof is for these two, this purpose and this connection. One that was recorded is wrong for any other
 * nonce; the word says which of the two speaks, so a proof is no good in the other direction; and a node
 * that is sent its own nonce back answers to nothing but to the question of who it is, which it asks itself.
 *
 * The asker proves first: who does not know the secret gets nothing to guess it by from a node that it asks.
 * Somebody who is asked gets one proof, and may try secrets on it: so a secret must be long and random.
 *
 * What travels on a link after that is neither encrypted nor proven: a secret keeps others from posing as
 * nodes, and not somebody who can change what is between two nodes.
 *
 * @module
 */

import { fromText, toBytes } from "../../byte_string.ts";

/** Which of the two says something. */
export type Role = "asks" | "answers";

/** The nonces of the two ends of a connection, in hexadecimal. */
export interface Nonces {
  readonly asker: string;
  readonly asked: string;
}

/** Bytes of a nonce. */
const NONCE_BYTES = 32;

/** Begins what is proven, so that a proof means nothing elsewhere. */
const LABEL = "dks peer proof 1";

/** Knows the secret of a cluster. */
export class ClusterSecret {
  readonly #key: Promise<CryptoKey>;
  /** The nonces with which this node asks at the moment. */
  readonly #asking = new Set<string>();

  constructor(secret: string) {
    const bytes = toBytes(fromText(secret));
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    this.#key = crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign", "verify"]);
  }

  /** Returns a nonce that nobody has had. */
  newNonce(): string {
    return toHex(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
  }

  /** Does `ask` with a nonce of its own. */
  async asking<Result>(ask: (nonce: string) => Promise<Result>): Promise<Result> {
    const nonce = this.newNonce();
    this.#asking.add(nonce);
    try {
      return await ask(nonce);
    } finally {
      this.#asking.delete(nonce);
    }
  }

  /** Tells whether this node is asking with this nonce: then whoever sent it is this node, or repeats it. */
  isAsking(nonce: string): boolean {
    return this.#asking.has(nonce);
  }

  /** Returns the proof for what one of the two says, in hexadecimal. */
  async prove(role: Role, nonces: Nonces, said: readonly string[]): Promise<string> {
    const bytes = await crypto.subtle.sign(
      "HMAC",
      await this.#key,
      provenBytes(role, nonces, said),
    );
    return toHex(new Uint8Array(bytes));
  }

  /** Tells whether `proof` is right, in a time that does not depend on how much of it is. */
  async isProven(
    proof: string,
    by: { role: Role; nonces: Nonces; said: readonly string[] },
  ): Promise<boolean> {
    const bytes = fromHex(proof);
    if (bytes === undefined) return false;
    const proven = provenBytes(by.role, by.nonces, by.said);
    return await crypto.subtle.verify("HMAC", await this.#key, bytes, proven);
  }
}

/** What is proven, with lengths: no two ways to take it apart. */
function provenBytes(
  role: Role,
  { asker, asked }: Nonces,
  said: readonly string[],
): Uint8Array<ArrayBuffer> {
  const parts = [LABEL, role, asker, asked, ...said];
  return new TextEncoder().encode(parts.map((part) => `${part.length}:${part}`).join());
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!isHex(text)) return undefined;
  return Uint8Array.from(
    { length: NONCE_BYTES },
    (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

function isHex(text: unknown): text is string {
  return typeof text === "string" && text.length === 2 * NONCE_BYTES && /^[0-9a-f]+$/.test(text);
}

/** Returns the text of a message that has nothing but a nonce. */
export function challengeOf(nonce: string): string {
  return JSON.stringify({ nonce });
}

/** Returns the nonce of a message that has nothing else; `undefined` for any other text. */
export function nonceOf(text: string): string | undefined {
  if (!text.startsWith('{"nonce":')) return undefined;
  try {
    const { nonce, ...more } = JSON.parse(text) as { nonce?: unknown };
    return isHex(nonce) && Object.keys(more).length === 0 ? nonce : undefined;
  } catch {
    return undefined;
  }
}
