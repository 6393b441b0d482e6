import { assertEquals, assertThrows } from "@std/assert";
import { fromBytes, toBytes } from "../../src/byte_string.ts";
import { ARGUMENTS_MAX } from "../../src/limits.ts";
import { CommandDecoder, ProtocolError, splitInline } from "../../src/resp/command_decoder.ts";
import { encodeCommand } from "../../src/resp/encoder.ts";
import { feed, splits } from "../harness/split.ts";

const BULK_MAX = 1024 * 1024;

function decodeAll(pieces: readonly Uint8Array[], bulkMax = BULK_MAX): string[][] {
  const decoder = new CommandDecoder(bulkMax);
  const commands: string[][] = [];
  for (const piece of pieces) {
    feed(decoder, piece, () => {
      for (let words = decoder.next(); words; words = decoder.next()) commands.push(words);
    });
  }
  return commands;
}

const ALL_BYTES = fromBytes(Uint8Array.from({ length: 256 }, (_, index) => index));

Deno.test("CommandDecoder.next() returns the same commands when the input is split anywhere", () => {
  const input = encodeCommand(["SET", "key", "va\r\nlue"]) + "PING\r\n" + "\r\n" + "*0\r\n" +
    encodeCommand(["GET", ""]) + "set \"a b\" 'c'\n" + encodeCommand([ALL_BYTES, ALL_BYTES]);
  const expected = [
    ["SET", "key", "va\r\nlue"],
    ["PING"],
    ["GET", ""],
    ["set", "a b", "c"],
    [ALL_BYTES, ALL_BYTES],
  ];
  for (const pieces of splits(input)) assertEquals(decodeAll(pieces), expected);
});

Deno.test("CommandDecoder.next() returns large arguments when they exceed its buffer", () => {
  const value = "x".repeat(300_000);
  const input = encodeCommand(["SET", "k", value]).repeat(3) + encodeCommand(["PING"]);
  const commands = decodeAll([toBytes(input)]);
  assertEquals(commands.map((words) => words.length), [3, 3, 3, 1]);
  assertEquals(commands[2]?.[2], value);
});

Deno.test("CommandDecoder.next() throws when the input is no command", () => {
  const hostile: [input: string, error: string][] = [
    ["*1\r\n+PING\r\n", "expected '$', got '+'"],
    ["*1\r\n\xe4\r\n", "expected '$', got '\xe4'"],
    ...["*x\r\n", "*1x\r\n", "*1\rX", "*\r\n", "*01\r\n", "*+1\r\n", "*-0\r\n", "*\x00\xff\r\n"]
      .map((
        input,
      ): [string, string] => [input, "invalid multibulk length"]),
    ["*99999999999999999999999\r\n", "invalid multibulk length"],
    ["*99999999999999999999999999999999999\r\n", "invalid multibulk length"],
    ["*2097154\r\n", `invalid multibulk length: 2097154, at most ${ARGUMENTS_MAX}`],
    ...["$-1", "$-5", "$", "$abc", "$04", "$+4", "$-0"].map((
      header,
    ): [string, string] => [`*1\r\n${header}\r\n`, "invalid bulk length"]),
    ["*1\r\n$1048577\r\n", "invalid bulk length: 1048577 bytes, at most 1048576 are allowed"],
    ["*1\r\n$4\r\nPINGxx", "a bulk string of 4 bytes does not end there"],
    ['set "a\r\n', "unbalanced quotes in request"],
    ['set "a"b\r\n', "unbalanced quotes in request"],
    ['set a"b c"d\r\n', "unbalanced quotes in request"],
    ["set a''b\r\n", "unbalanced quotes in request"],
    ["x".repeat(70_000), "too big inline request"],
  ];
  for (const [input, error] of hostile) {
    const { message } = assertThrows(() => decodeAll([toBytes(input)]), ProtocolError);
    assertEquals(message, error, input.slice(0, 40));
  }
});

Deno.test("CommandDecoder.next() throws when the arguments of one command are too many bytes", () => {
  const decoder = new CommandDecoder(64 * 1024 * 1024, 72 * 1024 * 1024);
  const half = 40 * 1024 * 1024;
  assertThrows(
    () => {
      feed(decoder, toBytes(`*2\r\n$${half}\r\n`), () => decoder.next());
      feed(decoder, new Uint8Array(half).fill(97), () => decoder.next());
      feed(decoder, toBytes(`\r\n$${half}\r\n`), () => decoder.next());
    },
    ProtocolError,
    "a command of more than",
  );
});

Deno.test("CommandDecoder takes no memory when a client only announces much", () => {
  const decoder = new CommandDecoder(64 * 1024 * 1024);
  feed(decoder, toBytes("*262145\r\n$60000000\r\n"), () => decoder.next());
  assertEquals(decoder.heldBytes < 100_000, true);
});

Deno.test("CommandDecoder.heldBytes counts what words take besides their bytes", () => {
  const decoder = new CommandDecoder(1000);
  feed(decoder, toBytes(`*100001\r\n${"$2\r\nab\r\n".repeat(100_000)}`), () => decoder.next());
  assertEquals(decoder.heldBytes > 100_000 * 60, true);
});

Deno.test("CommandDecoder survives any bytes", () => {
  let seed = 12345;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed % below;
  };
  const alphabet = "*$+-:0123456789\r\n\r\n\"' GETSETabc\x00\xff";
  for (let round = 0; round < 3000; round++) {
    let input = "";
    const length = random(60);
    for (let i = 0; i < length; i++) input += alphabet[random(alphabet.length)];
    try {
      decodeAll([toBytes(input)]);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
});

Deno.test("splitInline() reads quotes and escapes as Redis does", () => {
  const table: [line: string, words: string[]][] = [
    ["  a   b ", ["a", "b"]],
    ['"a b" c', ["a b", "c"]],
    ["'a \\' b'", ["a ' b"]],
    ['"\\n\\r\\t\\x41\\"\\\\"', ['\n\r\tA"\\']],
    ['""', [""]],
    ["a\tb", ["a", "b"]],
    [`set k a"b c" x'y z'`, ["set", "k", "ab c", "xy z"]],
    ['a""', ["a"]],
    ["a\x0bb\x0cc", ["a\x0bb\x0cc"]],
    ["\x0b\x0c a 'b'\x0bc", ["a", "b", "c"]],
    ["a\\nb", ["a\\nb"]],
    ["", []],
  ];
  for (const [line, words] of table) assertEquals(splitInline(toBytes(line)), words, line);
});
