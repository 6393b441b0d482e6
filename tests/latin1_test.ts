import { assertEquals } from "@std/assert";
import { Latin1View, writeLatin1 } from "../src/latin1.ts";

/** Lengths around those at which another way begins. */
const LENGTHS = [0, 1, 31, 127, 128, 129, 1000, 12_287, 12_288, 12_289, 24_576, 100_000];

/** Byte strings that are ASCII up to `asciiLength`, and contain every byte behind that. */
function stringOf(length: number, asciiLength: number): string {
  const bytes = Uint8Array.from({ length }, (_, i) => i < asciiLength ? 97 + i % 26 : i * 7);
  return new Latin1View(bytes).slice(0, length);
}

Deno.test("writeLatin1() writes one byte for each character, and nothing beside them", () => {
  for (const length of LENGTHS) {
    for (const asciiLength of [0, 20, 40, 12_288, 20_000, length]) {
      const value = stringOf(length, asciiLength);
      const target = new Uint8Array(length + 6).fill(0xee);
      writeLatin1(target, 3, value);
      const what = `${length} characters, ASCII up to ${asciiLength}`;
      assertEquals(new Latin1View(target).slice(3, length + 3) === value, true, what);
      assertEquals([...target.subarray(0, 3), ...target.subarray(-3)], Array(6).fill(0xee), what);
    }
  }
});

Deno.test("writeLatin1() writes the low byte of a character that is no byte", () => {
  for (const length of [10, 1000, 20_000]) {
    const value = "\u20ac" + "\xe4".repeat(length - 1);
    const target = new Uint8Array(length);
    writeLatin1(target, 0, value);
    assertEquals(target[0], 0xac);
    assertEquals(target.subarray(1).every((byte) => byte === 0xe4), true);
  }
});
