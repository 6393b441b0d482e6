/**
 * Keys on which the requests of commands are carried out at once, for tests of commands.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { CommandResult, Session } from "../../../src/node/commands/command.ts";
import type { RespValue } from "../../../src/resp/value.ts";
import type { Effect, KeyRecord } from "../../../src/two_phase/messages.ts";
import type { KeyFacts, Request } from "../../../src/two_phase/request.ts";
import { runWords, session } from "./session.ts";

/** Keys, and clients that change them. */
export class Database {
  readonly records = new Map<string, KeyRecord>();
  /** The wall-clock time, in milliseconds. */
  nowMs = 1_000_000;
  /** Gets the effects of each request. */
  onEffects: (effects: readonly Effect[]) => void = () => {};
  #version = 0;

  /** Returns the value of `key`. */
  value(key: string): string | undefined {
    return this.#recordOf(key)?.value;
  }

  /** Runs a command, and carries out what it comes to. */
  run(words: string | readonly string[], of: Session = session()): RespValue {
    return this.carryOut(runWords(typeof words === "string" ? words.split(" ") : words, of));
  }

  carryOut(result: CommandResult): RespValue {
    if ("reply" in result) return result.reply;
    assert("request" in result);
    const answer = this.#evaluate(result.request) as RespValue;
    return result.finish === undefined ? answer : result.finish(answer);
  }

  #evaluate(request: Request): unknown {
    assert(request.kind !== "barrier");
    const version = ++this.#version;
    const recordOf = (key: string) => {
      assert(request.keys.includes(key), `${key} is not among the keys`);
      return this.#recordOf(key);
    };
    const facts: KeyFacts = { nowMs: this.nowMs, version, recordOf };
    const read = (key: string) => recordOf(key)?.value;
    if (request.kind === "read") return request.evaluate(read, facts);
    const { effects, reply } = request.evaluate(read, facts);
    assertEquals(new Set(effects.map(({ key }) => key)).size, effects.length, "one effect a key");
    this.onEffects(effects);
    for (const effect of effects) {
      assert(request.keys.includes(effect.key), `${effect.key} is not among the keys`);
      this.records.set(effect.key, { ...effect, version });
    }
    return reply;
  }

  #recordOf(key: string): KeyRecord | undefined {
    const record = this.records.get(key);
    const isOver = (record?.expiresAtMs ?? Infinity) <= this.nowMs;
    return record?.value === undefined || isOver ? undefined : record;
  }
}
