/**
 * LCS: the longest common subsequence of two strings.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { ErrorReply, type RespValue } from "../../resp/value.ts";
import { error, integerOf } from "./arguments.ts";
import { type CommandResult, type CommandRow, type Session, TWO_KEYS } from "./command.ts";
import { SYNTAX_ERROR } from "./set_options.ts";

/** Bytes of one cell of Redis's table, which bounds what may be compared. */
const CELL_BYTES = 4;

interface Options {
  isLength: boolean;
  isIndex: boolean;
  withLengths: boolean;
  lengthMin: bigint;
}

/** Places of a match in both strings, the first and the last one. */
interface Match {
  readonly a: readonly [first: number, last: number];
  readonly b: readonly [first: number, last: number];
}

function parse(words: readonly ByteString[]): Options | ErrorReply {
  const options: Options = { isLength: false, isIndex: false, withLengths: false, lengthMin: 0n };
  for (let i = 0; i < words.length; i++) {
    const word = (words[i] ?? "").toUpperCase();
    const next = words[i + 1];
    if (word === "IDX") options.isIndex = true;
    else if (word === "LEN") options.isLength = true;
    else if (word === "WITHMATCHLEN") options.withLengths = true;
    else if (word === "MINMATCHLEN" && next !== undefined) {
      const length = integerOf(next);
      if (length instanceof ErrorReply) return length;
      options.lengthMin = length;
      i++;
    } else return SYNTAX_ERROR;
  }
  return options;
}

/** How long the longest common subsequence of every two beginnings of two strings is. */
class Table {
  readonly #cells: Uint32Array;
  readonly #width: number;

  constructor(a: ByteString, b: ByteString) {
    this.#width = b.length + 1;
    this.#cells = new Uint32Array((a.length + 1) * this.#width);
    for (let i = 1; i <= a.length; i++) {
      const code = a.charCodeAt(i - 1);
      for (let j = 1; j <= b.length; j++) {
        this.#cells[i * this.#width + j] = code === b.charCodeAt(j - 1)
          ? this.at(i - 1, j - 1) + 1
          : Math.max(this.at(i - 1, j), this.at(i, j - 1));
      }
    }
  }

  /** The length for the first `i` and `j` bytes. */
  at(i: number, j: number): number {
    return this.#cells[i * this.#width + j] ?? 0;
  }
}

/** Walks from the ends of both strings to the beginning. Returns the subsequence and its matches. */
function trace(a: ByteString, b: ByteString, table: Table): { text: string; matches: Match[] } {
  let text = "";
  const matches: Match[] = [];
  let open: { a: [number, number]; b: [number, number] } | undefined;
  const end = () => {
    if (open !== undefined) matches.push(open);
    open = undefined;
  };
  for (let i = a.length, j = b.length; i > 0 && j > 0;) {
    if (a[i - 1] !== b[j - 1]) {
      end();
      if (table.at(i - 1, j) > table.at(i, j - 1)) i--;
      else j--;
      continue;
    }
    i--;
    j--;
    text = `${a[i]}${text}`;
    if (open !== undefined && open.a[0] === i + 1 && open.b[0] === j + 1) {
      open.a[0] = i;
      open.b[0] = j;
    } else {
      end();
      open = { a: [i, i], b: [j, j] };
    }
  }
  end();
  return { text, matches };
}

function lcs(
  [, keyA = "", keyB = "", ...words]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const options = parse(words);
  if (options instanceof ErrorReply) return { reply: options };
  const { isLength, isIndex } = options;
  if (isLength && isIndex) {
    return error("If you want both the length and indexes, please just use IDX.");
  }
  return {
    request: {
      kind: "read",
      keys: [...new Set([keyA, keyB])],
      evaluate: (read) => {
        const [a, b] = [read(keyA) ?? "", read(keyB) ?? ""];
        if ((a.length + 1) * (b.length + 1) * CELL_BYTES > node.valueBytesMax) {
          const message =
            "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
          return new ErrorReply("ERR", message);
        }
        const table = new Table(a, b);
        const length = table.at(a.length, b.length);
        if (isLength) return length;
        const { text, matches } = trace(a, b, table);
        return isIndex ? indexReply(matches, length, options) : text;
      },
    },
  };
}

function indexReply(
  matches: readonly Match[],
  length: number,
  { withLengths, lengthMin }: Options,
): RespValue {
  const lengthOf = ({ a: [first, last] }: Match) => last - first + 1;
  const shown = matches.filter((match) => BigInt(lengthOf(match)) >= lengthMin)
    .map((match) => withLengths ? [match.a, match.b, lengthOf(match)] : [match.a, match.b]);
  return new Map<RespValue, RespValue>([["matches", shown], ["len", length]]);
}

export const LCS: CommandRow = {
  name: "lcs",
  arity: -3,
  flags: ["readonly"],
  group: "string",
  categories: ["string"],
  keys: TWO_KEYS,
  summary: "Returns the longest common subsequence of two values",
  syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
  since: "7.0.0",
  run: lcs,
};
