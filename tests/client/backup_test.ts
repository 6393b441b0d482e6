import { createHash } from "node:crypto";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { BackupError, BackupWriter, type Pair, parseBackup } from "../../src/client/backup_file.ts";
import { fromText } from "../../src/byte_string.ts";

const ALL_BYTES = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));

const PAIRS: readonly Pair[] = [
  ["city", fromText("Zürich")],
  ["", ""],
  [ALL_BYTES, "text"],
  ["text", ALL_BYTES],
  ["line\nfeed \0 \u007f", '"quotes" \\ \r\n'],
  ["session", "1", 1_795_737_600_123],
  [fromText("\uFEFFbom \u2028 😀"), "\xff"],
];

const wordsOf = (pairs: readonly Pair[]) =>
  pairs.flatMap(([key, value, expiresAtMs]) => [key, value, expiresAtMs ?? null]);

function file(pairs: readonly Pair[]): Uint8Array<ArrayBuffer> {
  const writer = new BackupWriter(pairs.length);
  const middle = Math.floor(pairs.length / 2);
  const pieces = [
    writer.head(),
    writer.lines(wordsOf(pairs.slice(0, middle))),
    writer.lines(wordsOf(pairs.slice(middle))),
    writer.end(),
  ];
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("parseBackup() returns what BackupWriter was given, any bytes", () => {
  assertEquals(parseBackup(file(PAIRS)), PAIRS);
  assertEquals(parseBackup(file([])), []);
});

Deno.test("BackupWriter writes text as text, other bytes in base64", () => {
  const [head, first, second, end] = textOf(file([["é", "1"].map(fromText) as [string, string], [
    "\xff",
    "\xfe",
  ]])).split("\n");
  assertEquals(head, '{"format":"dks-export","version":2,"keys":2}');
  assertEquals(first, '{"key":"é","value":"1"}');
  assertEquals(second, '{"key64":"/w==","value64":"/g=="}');
  assertStringIncludes(end ?? "", '{"end":true,"keys":2,"sha256":"');
});

Deno.test("BackupWriter.end() throws when a key is missing", () => {
  const writer = new BackupWriter(2);
  writer.lines(["a", "1", null]);
  assertThrows(() => writer.end(), Error, "1 keys came, not 2");
});

Deno.test("parseBackup() refuses a file that was cut off, at every byte", () => {
  const whole = file(PAIRS);
  for (let length = 0; length < whole.length; length++) {
    assertThrows(() => parseBackup(whole.subarray(0, length)), BackupError);
  }
});

Deno.test("parseBackup() refuses a file of which a byte was changed, any byte", () => {
  const whole = file(PAIRS);
  for (let at = 0; at < whole.length; at++) {
    for (const mask of [0x01, 0x20, 0x80]) {
      const changed = whole.slice();
      changed[at] = (changed[at] ?? 0) ^ mask;
      // Letters of the checksum and of the words of the last line count too.
      assertThrows(() => parseBackup(changed), BackupError, "", `byte ${at}`);
    }
  }
});

Deno.test("parseBackup() says what is wrong", () => {
  const whole = textOf(file([["a", "1"]]));
  const [head = "", line = "", end = ""] = whole.split("\n");
  const table: [text: string, message: string][] = [
    ["", "the file is empty"],
    ["hello\n", "line 1 is no JSON: "],
    ["null\n", "line 1 is no JSON object"],
    ['{"a":1}\n', 'line 1 does not say "format":"dks-export"'],
    [
      whole.replace('"version":2', '"version":3'),
      "it has version 3 of the format, this dks reads 1 and 2",
    ],
    [head, "it was cut off"],
    [`${head}\n${line}\n`, "it was cut off"],
    [`${head}\n${line}\n${end}`, "it was cut off"],
    [`${head}\n${line}\n${line}\n${end}\n`, "it was changed: its checksum is not the one"],
    [`${whole}${line}\n`, "it was cut off"],
  ];
  for (const [text, message] of table) {
    assertThrows(() => parseBackup(bytesOf(text)), BackupError, message, text);
  }
});

Deno.test("parseBackup() reads what version 1 wrote", () => {
  const body = '{"format":"dks-export","version":1,"keys":1}\n{"key":"a","value":"1"}\n';
  const sha256 = createHash("sha256").update(body).digest("hex");
  const end = JSON.stringify({ end: true, keys: 1, sha256 });
  assertEquals(parseBackup(bytesOf(`${body}${end}\n`)), [["a", "1"]]);
});
