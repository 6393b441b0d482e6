/**
 * What follows the name of a command, as data: COMMAND DOCS tells it, and prompts make hints of it.
 *
 * A row of the table says it as a manual does: `key value [NX | XX] [EX seconds | PERSIST]`. Capitals are
 * words to be sent as they are, and belong to the names behind them; `[…]` may be left out, of `a | b` one
 * is meant, `<…>` keeps such a choice together, and `key [key ...]` may be repeated.
 *
 * @module
 */

import { invariant } from "../../invariant.ts";

/** Redis's types of arguments (redis.io, COMMAND DOCS), as far as they are used. */
export type ArgumentType =
  | "string"
  | "integer"
  | "unix-time"
  | "pattern"
  | "key"
  | "pure-token"
  | "oneof"
  | "block";

/** Something that follows the name of a command. */
export interface Argument {
  readonly name: string;
  readonly type: ArgumentType;
  /** The word before it, or all of it. */
  readonly token?: string;
  readonly isOptional?: boolean;
  readonly isMultiple?: boolean;
  /** Where it is repeated, so is its token. */
  readonly isMultipleToken?: boolean;
  /** Of a block or a choice. */
  readonly arguments?: readonly Argument[];
}

/** The types of names that do not stand for strings. */
const TYPES: Readonly<Record<string, ArgumentType>> = {
  "key": "key",
  "key1": "key",
  "key2": "key",
  "newkey": "key",
  "source": "key",
  "destination": "key",
  "destkey": "key",
  "pattern": "pattern",
  "unix-time-seconds": "unix-time",
  "unix-time-milliseconds": "unix-time",
  "bit": "integer",
  "bits": "integer",
  "client-id": "integer",
  "count": "integer",
  "cursor": "integer",
  "decrement": "integer",
  "destination-db": "integer",
  "end": "integer",
  "increment": "integer",
  "index": "integer",
  "maxage": "integer",
  "milliseconds": "integer",
  "min-match-len": "integer",
  "numkeys": "integer",
  "numlocal": "integer",
  "numreplicas": "integer",
  "offset": "integer",
  "protover": "integer",
  "seconds": "integer",
  "start": "integer",
  "timeout": "integer",
  "version": "integer",
};

/** Returns the arguments that `syntax` describes: of SUBSCRIBE channels are no keys, and so on by their names. */
export function argumentsOf(syntax: string): readonly Argument[] {
  return new Parser(syntax.match(/\.\.\.|[[\]<>|]|[^\s[\]<>|]+/g) ?? []).parse();
}

/** An argument, and how many words of the syntax describe it. */
interface Parsed {
  readonly argument: Argument;
  readonly words: number;
}

class Parser {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  parse(): readonly Argument[] {
    const all = this.#sequence();
    invariant(this.#next === undefined, `no ${this.#next} is expected in a syntax`);
    return all;
  }

  get #next(): string | undefined {
    return this.#words[this.#at];
  }

  /** What stands up to the end, a bar or a closing bracket. */
  #sequence(): Argument[] {
    const parsed: Parsed[] = [];
    for (let next = this.#next; next !== undefined && !"|]>".includes(next); next = this.#next) {
      const begin = this.#at;
      if (next === "...") break;
      if (this.#isRepetition) {
        this.#repeat(parsed);
        continue;
      }
      const argument = next === "[" ? this.#optional() : this.#required();
      parsed.push({ argument, words: this.#at - begin });
    }
    return parsed.map(({ argument }) => argument);
  }

  #required(): Argument {
    const word = this.#words[this.#at++] ?? "";
    if (word === "<") return this.#choice(">");
    if (!isToken(word)) return leaf(word);
    const operands: Parsed[] = [];
    for (let next = this.#next; next !== undefined && !isToken(next); next = this.#next) {
      const begin = this.#at;
      if (this.#isRepetition && !this.#repeatsToken) this.#repeat(operands);
      else if ("|]>[...".includes(next)) break;
      else operands.push({ argument: this.#required(), words: this.#at - begin });
    }
    if (operands.length === 0) {
      return { name: word.toLowerCase(), type: "pure-token", token: word };
    }
    return { ...blockOf(operands.map(({ argument }) => argument)), token: word };
  }

  #optional(): Argument {
    this.#at++;
    return { ...this.#choice("]"), isOptional: true };
  }

  /** One of several, or one alone, up to the closing bracket. */
  #choice(end: string): Argument {
    const choices = [blockOf(this.#sequence())];
    while (this.#next === "|") {
      this.#at++;
      choices.push(blockOf(this.#sequence()));
    }
    const isMultiple = this.#next === "...";
    if (isMultiple) this.#at++;
    invariant(this.#next === end, `a syntax has no ${end}`);
    this.#at++;
    const [first] = choices;
    const all: Argument = choices.length === 1 && first !== undefined
      ? first
      : { name: nameOf(choices), type: "oneof", arguments: choices };
    return isMultiple ? { ...all, isMultiple } : all;
  }

  /** The words between brackets that are the words before them once more; none if they are not. */
  get #repeated(): readonly string[] {
    const end = this.#words.indexOf("]", this.#at);
    if (this.#next !== "[" || this.#words[end - 1] !== "...") return [];
    const inner = this.#words.slice(this.#at + 1, end - 1);
    const before = this.#words.slice(Math.max(0, this.#at - inner.length), this.#at);
    return inner.every((word, index) => word === before[index]) ? inner : [];
  }

  get #isRepetition(): boolean {
    return this.#repeated.length > 0;
  }

  get #repeatsToken(): boolean {
    return isToken(this.#repeated[0] ?? "");
  }

  /** Has what was parsed last, as far as it stands in the brackets, be multiple. */
  #repeat(parsed: Parsed[]): void {
    const isMultipleToken = this.#repeatsToken;
    const count = this.#repeated.length;
    const repeated: Parsed[] = [];
    for (let words = 0; words < count;) {
      const last = parsed.pop();
      invariant(last !== undefined, "a syntax repeats what it has said");
      repeated.unshift(last);
      words += last.words;
    }
    this.#at += count + 3;
    const argument = {
      ...blockOf(repeated.map(({ argument }) => argument)),
      isMultiple: true,
      ...(isMultipleToken ? { isMultipleToken } : {}),
    };
    parsed.push({ argument, words: count });
  }
}

function isToken(word: string): boolean {
  return /^[A-Z][A-Z-]*$/.test(word);
}

function leaf(name: string): Argument {
  return { name, type: TYPES[name] ?? "string" };
}

/** Several that belong together, or one alone. */
function blockOf(all: readonly Argument[]): Argument {
  const [first] = all;
  invariant(first !== undefined, "a syntax has something between brackets and bars");
  return all.length === 1 ? first : { name: nameOf(all), type: "block", arguments: all };
}

function nameOf(all: readonly Argument[]): string {
  return all.map(({ name }) => name).join("_");
}
