/**
 * `export` and `import`: all keys into a file, and back.
 *
 * @module
 */

import { type ByteString, quote } from "../byte_string.ts";
import { messageOf } from "../errors.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { BackupError, BackupWriter, type Pair, parseBackup } from "./backup_file.ts";
import { type ClientConnection, ConnectionError } from "./connection.ts";
import { callAnywhere, callOnce, type Connector } from "./connector.ts";
import { formatError } from "./format.ts";
import { jsonLine } from "./json.ts";
import { EXIT } from "./one_shot.ts";
import { ProgressBar } from "./progress_bar.ts";
import type { Output } from "./terminal.ts";

/** Most keys and roughly the most bytes of one MSET. */
const BATCH_KEYS_MAX = 128;
const BATCH_BYTES = 256 * 1024;

/** How many MSETs are under way at a time. */
const BATCHES_AT_ONCE = 8;

/**
 * Writes all keys to standard output, as of one moment. Returns the exit code.
 *
 * @throws {ConnectionError} if no node begins an export.
 */
export async function exportKeys(
  { connector, timeoutMs, output }: { connector: Connector; timeoutMs: number; output: Output },
): Promise<number> {
  const begun = await callAnywhere(["DKS.EXPORT"], { connector, timeoutMs, mayRepeat: true });
  const [id, count] = Array.isArray(begun) ? begun : [];
  if (typeof id !== "string" || typeof count !== "number") {
    await output.note(`dks: nothing was exported: ${unexpected(begun)}\n`);
    return EXIT.failed;
  }
  // The node that has begun it keeps it.
  const connection = await connector.get();
  let problem: string | undefined;
  try {
    problem = await writeAll(connection, { id, count, output });
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    problem = messageOf(error);
  }
  if (problem === undefined) return EXIT.ok;
  await output.note(`dks: the export is incomplete: ${problem}\n`);
  return EXIT.failed;
}

/** Returns why the export is incomplete. */
async function writeAll(
  connection: ClientConnection,
  { id, count, output }: { id: ByteString; count: number; output: Output },
): Promise<string | undefined> {
  const bar = new ProgressBar("export", count);
  try {
    const writer = new BackupWriter(count);
    await output.write(writer.head());
    let done = 0;
    // The next piece is on its way while one is written.
    for (let next = connection.call(["DKS.EXPORT", id]);;) {
      const chunk = await next;
      if (!isListOfWords(chunk)) return unexpected(chunk);
      if (chunk.length === 0) break;
      next = connection.call(["DKS.EXPORT", id]);
      next.catch(() => {}); // The next round looks at it, unless writing fails before.
      await output.write(writer.lines(chunk));
      bar.update(done += chunk.length / 3);
    }
    await output.write(writer.end());
  } finally {
    bar.finish();
  }
  await output.note(`exported ${count} keys\n`);
  return undefined;
}

function unexpected(reply: RespValue): string {
  return reply instanceof ErrorReply
    ? formatError(reply)
    : "the node's answer is not one to DKS.EXPORT";
}

function isListOfWords(value: RespValue): value is readonly (string | number | null)[] {
  return Array.isArray(value) && value.length % 3 === 0 &&
    value.every((item) => item === null || typeof item === "string" || typeof item === "number");
}

/** Writes all keys of a file, once it is known to be complete. Returns the exit code. */
export async function importKeys(
  bytes: Uint8Array,
  options: { connector: Connector; timeoutMs: number; output: Output; asJson: boolean },
): Promise<number> {
  const { output, asJson } = options;
  let pairs: Pair[];
  try {
    pairs = parseBackup(bytes);
  } catch (error) {
    if (!(error instanceof BackupError)) throw error;
    await output.note(`dks: nothing was imported: ${messageOf(error)}\n`);
    return EXIT.failed;
  }
  const batches = batchesOf(pairs);
  const bar = new ProgressBar("import", pairs.length);
  let done = 0;
  let failure: string | undefined;
  const work = async () => {
    for (let batch = batches.next(); !batch.done && failure === undefined; batch = batches.next()) {
      const reason = await sendBatch(batch.value, options);
      if (reason === undefined) bar.update(done += batch.value.length);
      else failure ??= reason;
    }
  };
  await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, work));
  bar.finish();
  if (failure === undefined) {
    await output.write(asJson ? jsonLine({ imported: done }) : `imported ${done} keys\n`);
    return EXIT.ok;
  }
  await output.note(`dks: ${done} of ${pairs.length} keys were imported, then: ${failure}\n`);
  return EXIT.failed;
}

function* batchesOf(pairs: readonly Pair[]): Generator<readonly Pair[], void> {
  let batch: Pair[] = [];
  let bytes = 0;
  for (const pair of pairs) {
    batch.push(pair);
    bytes += pair[0].length + pair[1].length;
    if (batch.length < BATCH_KEYS_MAX && bytes < BATCH_BYTES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

/** Keys that do not expire take the command that every node has. */
function commandFor(batch: readonly Pair[]): ByteString[] {
  if (batch.every(([, , expiresAtMs]) => expiresAtMs === undefined)) {
    return ["MSET", ...batch.flatMap(([key, value]) => [key, value])];
  }
  const words = batch.flatMap(([key, value, expiresAtMs = ""]) => [
    key,
    value,
    String(expiresAtMs),
  ]);
  return ["DKS.IMPORT", ...words];
}

/** Returns why a batch was not imported. */
async function sendBatch(
  batch: readonly Pair[],
  options: { connector: Connector; timeoutMs: number },
): Promise<string | undefined> {
  const first = quote(batch[0]?.[0] ?? "");
  try {
    const reply = await callOnce(commandFor(batch), options);
    if (!(reply instanceof ErrorReply)) return undefined;
    return `${formatError(reply)} (${batch.length} keys from ${first})`;
  } catch (error) {
    return `${messageOf(error)} (${batch.length} keys from ${first})`;
  }
}
