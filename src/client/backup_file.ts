/**
 * The file that `export` writes and `import` reads: JSON lines.
 *
 * ```json
 * {"format":"dks-export","version":2,"keys":2}
 * {"key":"city","value":"Zürich"}
 * {"key":"session","value":"1","expiresAtMs":1795737600000}
 * {"key64":"/w==","value":"a key that is not UTF-8"}
 * {"end":true,"keys":2,"sha256":"…"}
 * ```
 *
 * What is not UTF-8 is written in base64, under `key64` or `value64`. The last line has the SHA-256
 * of all bytes before it, so a truncated or changed file is detected.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { type ByteString, fromText } from "../byte_string.ts";
import { messageOf } from "../errors.ts";
import { bytesField } from "./json.ts";

const FORMAT = "dks-export";
/** The version that is written, and those that are read. Version 1 has no expiries. */
const VERSION = 2;
const VERSIONS: readonly unknown[] = [1, VERSION];

const LINE_FEED = 0x0a;

/** A key, its value, and when it expires, in milliseconds since 1970; absent for never. */
export type Pair = readonly [key: ByteString, value: ByteString, expiresAtMs?: number];

/** Produces the bytes of a file, piece by piece. */
export class BackupWriter {
  readonly #keys: number;
  readonly #hash: Hash = createHash("sha256");
  readonly #encoder = new TextEncoder();
  #done = 0;

  /** @param keys how many there will be */
  constructor(keys: number) {
    this.#keys = keys;
  }

  /** Returns the first line. */
  head(): Uint8Array {
    return this.#encode(
      `${JSON.stringify({ format: FORMAT, version: VERSION, keys: this.#keys })}\n`,
    );
  }

  /** Returns the lines of keys, values and expiries (`null` for none) that stand behind each other. */
  lines(words: readonly (ByteString | number | null)[]): Uint8Array {
    let text = "";
    for (let i = 0; i + 2 < words.length; i += 3) {
      const [key, value, expiresAtMs] = words.slice(i, i + 3);
      text += `${lineOf(String(key), String(value), expiresAtMs)}\n`;
      this.#done++;
    }
    return this.#encode(text);
  }

  /**
   * Returns the last line.
   *
   * @throws {Error} if there were more or fewer keys than announced.
   */
  end(): Uint8Array {
    if (this.#done !== this.#keys) throw new Error(`${this.#done} keys came, not ${this.#keys}`);
    const end = { end: true, keys: this.#keys, sha256: this.#hash.digest("hex") };
    return this.#encoder.encode(`${JSON.stringify(end)}\n`);
  }

  #encode(text: string): Uint8Array {
    const bytes = this.#encoder.encode(text);
    this.#hash.update(bytes);
    return bytes;
  }
}

function lineOf(
  key: ByteString,
  value: ByteString,
  expiresAtMs: ByteString | number | null | undefined,
): string {
  return JSON.stringify({
    ...bytesField("key", key),
    ...bytesField("value", value),
    ...(typeof expiresAtMs === "number" ? { expiresAtMs } : {}),
  });
}

/** The file is not a backup, incomplete, or changed. */
export class BackupError extends Error {
  override name = "BackupError";
}

/**
 * Returns the keys and values of a file.
 *
 * @throws {BackupError} if any part of it is wrong.
 */
export function parseBackup(bytes: Uint8Array): Pair[] {
  if (bytes.length === 0) throw new BackupError("the file is empty");
  const lines = linesOf(bytes);
  const head = parseLine(lines[0], 1);
  if (head["format"] !== FORMAT) throw new BackupError('line 1 does not say "format":"dks-export"');
  if (!VERSIONS.includes(head["version"])) {
    throw new BackupError(
      `it has version ${JSON.stringify(head["version"])} of the format, this dks reads ${
        VERSIONS.join(" and ")
      }`,
    );
  }
  const lastLine = lines.at(-1);
  if (lastLine === undefined || bytes.at(-1) !== LINE_FEED) throw new BackupError(CUT_OFF);
  const end = parseLine(lastLine, lines.length);
  if (end["end"] !== true) throw new BackupError(CUT_OFF);
  const hash = createHash("sha256");
  hash.update(bytes.subarray(0, bytes.length - lastLine.length - 1));
  if (hash.digest("hex") !== end["sha256"]) {
    throw new BackupError("it was changed: its checksum is not the one in its last line");
  }
  const pairs = lines.slice(1, -1).map((line, index) =>
    pairOf(parseLine(line, index + 2), index + 2)
  );
  for (const { keys } of [head, end]) {
    if (keys !== pairs.length) {
      throw new BackupError(`it has ${pairs.length} keys, and says ${JSON.stringify(keys)}`);
    }
  }
  return pairs;
}

const CUT_OFF = "it was cut off: it does not end with the line that export writes last";

function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(LINE_FEED, start);
    const end = found < 0 ? bytes.length : found;
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return lines;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parseLine(line: Uint8Array | undefined, number: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(line));
  } catch (error) {
    throw new BackupError(`line ${number} is no JSON: ${messageOf(error)}`);
  }
  if (typeof value === "object" && value !== null) return { ...value };
  throw new BackupError(`line ${number} is no JSON object`);
}

function pairOf(line: Record<string, unknown>, number: number): Pair {
  const key = bytesOf(line["key"], line["key64"]);
  const value = bytesOf(line["value"], line["value64"]);
  const expiresAtMs = line["expiresAtMs"];
  if (key === undefined || value === undefined) {
    throw new BackupError(`line ${number} has no key or no value`);
  }
  if (expiresAtMs === undefined) return [key, value];
  if (typeof expiresAtMs === "number" && expiresAtMs > 0) return [key, value, expiresAtMs];
  throw new BackupError(`line ${number} has no time as expiresAtMs`);
}

function bytesOf(text: unknown, base64: unknown): ByteString | undefined {
  if (typeof text === "string") return fromText(text);
  if (typeof base64 !== "string") return undefined;
  try {
    return atob(base64);
  } catch {
    return undefined;
  }
}
