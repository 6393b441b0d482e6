/**
 * The commands of a person or a script, one after the other, at whichever node answers.
 *
 * What WATCH and MULTI have begun is one connection's. Until it has ended, every command goes there, and
 * none to another node, which would carry out at once what was to be queued. If that connection is gone,
 * or its node rejects a command, the transaction is lost. A person reads that, and begins again; a script
 * reads nothing, so its lines up to EXEC are refused: without WATCH, EXEC could overwrite what others have
 * written. So it is if WATCH or MULTI itself fails in a script.
 *
 * @module
 */

import type { ByteString } from "../byte_string.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import { type ClientConnection, ConnectionError } from "./connection.ts";
import { callAnywhere, type Connector } from "./connector.ts";
import { isRejection } from "./refusals.ts";

/** What a command does to a transaction, if it is carried out. */
type Step = "watch" | "multi" | "unwatch" | "exec" | "discard" | "none";

const STEPS: Readonly<Record<string, Step>> = {
  WATCH: "watch",
  MULTI: "multi",
  UNWATCH: "unwatch",
  EXEC: "exec",
  DISCARD: "discard",
  RESET: "discard",
};

/** `isQueueing`: MULTI has come, and not the end of what it has begun. */
type Transaction =
  | { readonly kind: "none" }
  /** WATCH or MULTI was answered on this connection. */
  | { readonly kind: "open"; readonly connection: ClientConnection; readonly isQueueing: boolean }
  /** A script's: its end is still to come. */
  | { readonly kind: "lost"; readonly isQueueing: boolean };

type OpenTransaction = Transaction & { readonly kind: "open" };

const NONE: Transaction = { kind: "none" };

/** Sends commands; those of a transaction on one connection. */
export class Conversation {
  readonly #connector: Connector;
  readonly #timeoutMs: number;
  readonly #isScript: boolean;
  #transaction: Transaction = NONE;

  /** @param options `timeoutMs`: how long a command may take; `isScript`: nobody reads the replies */
  constructor(options: { connector: Connector; timeoutMs: number; isScript: boolean }) {
    this.#connector = options.connector;
    this.#timeoutMs = options.timeoutMs;
    this.#isScript = options.isScript;
  }

  /** The node queues commands for EXEC. */
  get isQueueing(): boolean {
    return this.#transaction.kind === "open" && this.#transaction.isQueueing;
  }

  /**
   * Sends a command. If it is no part of a transaction, and cannot have taken effect, it is sent again to the
   * next address.
   *
   * @param options `mayRepeat`: whether it may be sent again if it might have taken effect, as a read may
   * @throws {ConnectionError} if no node can be reached, the outcome is not known, or the transaction is
   * lost.
   */
  async call(
    words: readonly ByteString[],
    { mayRepeat }: { mayRepeat: boolean },
  ): Promise<RespValue> {
    const step = stepOf(words);
    const transaction = this.#transaction;
    if (transaction.kind === "lost") return this.#refuse(step, transaction);
    if (transaction.kind === "open") return await this.#callIn(transaction, words);
    const isBegin = step === "watch" || step === "multi";
    // Unless it is answered, a script's next lines must not be carried out without it.
    if (isBegin) this.#transaction = this.#lost({ isQueueing: step === "multi" });
    const options = { connector: this.#connector, timeoutMs: this.#timeoutMs, mayRepeat };
    const reply = await callAnywhere(words, options);
    if (!isBegin || reply instanceof ErrorReply) return reply;
    const connection = await this.#connector.get();
    this.#transaction = { kind: "open", connection, isQueueing: step === "multi" };
    return reply;
  }

  async #callIn(transaction: OpenTransaction, words: readonly ByteString[]): Promise<RespValue> {
    const { connection, isQueueing } = transaction;
    const step = stepOf(words);
    try {
      const reply = await connection.call(words, { timeoutMs: this.#timeoutMs });
      if (isRejection(reply)) {
        throw new ConnectionError(`${connection.name} says: ${reply.code} ${reply.message}`, false);
      }
      this.#transaction = this.#after(words, { transaction, isError: reply instanceof ErrorReply });
      if (this.#transaction.kind === "lost") await this.#connector.giveUp(connection);
      return reply;
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#transaction = isEnd(step, transaction) ? NONE : this.#lost(transaction);
      await this.#connector.giveUp(connection);
      if (error.maybeDone && step === "exec") throw error;
      const isQueued = isQueueing && step !== "exec";
      const message = `${error.message}; the transaction is lost: begin again`;
      throw new ConnectionError(message, error.maybeDone && !isQueued);
    }
  }

  /** Returns what has become of an open transaction when one of its commands was answered. */
  #after(
    words: readonly ByteString[],
    { transaction, isError }: { transaction: OpenTransaction; isError: boolean },
  ): Transaction {
    const { isQueueing } = transaction;
    switch (stepOf(words)) {
      case "watch":
        return isError && !isQueueing ? this.#lost(transaction, transaction) : transaction;
      case "multi":
        if (isError && !isQueueing) return this.#lost({ isQueueing: true }, transaction);
        return { ...transaction, isQueueing: true };
      case "unwatch":
        return isError || isQueueing ? transaction : NONE;
      case "exec":
        // Under a token that is wrong, it has ended nothing.
        return isQueueing && !(isError && words.length > 1) ? NONE : transaction;
      case "discard":
        return isError ? transaction : NONE;
      case "none":
        return transaction;
    }
  }

  /** Returns what becomes of a transaction that cannot go on: a person knows, and is `otherwise` there. */
  #lost({ isQueueing }: { isQueueing: boolean }, otherwise = NONE): Transaction {
    return this.#isScript ? { kind: "lost", isQueueing } : otherwise;
  }

  /** @throws {ConnectionError} always: the line is one of a transaction that is lost. */
  #refuse(step: Step, transaction: { readonly isQueueing: boolean }): never {
    const isQueueing = transaction.isQueueing || step === "multi";
    this.#transaction = isEnd(step, transaction) ? NONE : { kind: "lost", isQueueing };
    throw new ConnectionError("not sent: the transaction is lost", false);
  }
}

/** Tells whether a transaction ends with this step. */
function isEnd(step: Step, { isQueueing }: { readonly isQueueing: boolean }): boolean {
  return step === "exec" || step === "discard" || step === "unwatch" && !isQueueing;
}

function stepOf([name = "", , carried = ""]: readonly ByteString[]): Step {
  const upper = name.toUpperCase();
  const isCarried = upper === "DKS.ONCE" && carried.toUpperCase() === "EXEC";
  return isCarried ? "exec" : STEPS[upper] ?? "none";
}
