/** Patterns of names: what they describe, and how long that takes to find out. */

import { assert, assertEquals } from "@std/assert";
import { Glob, matchesGlob } from "../../../src/node/commands/glob.ts";
import { PATTERN_BYTES_MAX } from "../../../src/limits.ts";
import { Random } from "../../sim/random.ts";

/** Of what patterns are made here, with the bytes that each describes; `undefined` for a star. */
const PIECES: readonly (readonly [piece: string, fits: string | undefined])[] = [
  ["*", undefined],
  ["?", "abc"],
  ["a", "a"],
  ["b", "b"],
  ["\\a", "a"],
  ["[ab]", "ab"],
  ["[^a]", "bc"],
  ["[c-b]", "bc"],
  ["[]", ""],
];

/** Tells whether the pieces describe the name, by trying everything, place by place. */
function isDescribed(pieces: readonly (string | undefined)[], name: string): boolean {
  let reached = new Set([0]);
  for (const fits of pieces) {
    const next = new Set<number>();
    for (const place of reached) {
      if (fits === undefined) { for (let to = place; to <= name.length; to++) next.add(to); }
      else if (place < name.length && fits.includes(name[place] ?? "")) next.add(place + 1);
    }
    reached = next;
  }
  return reached.has(name.length);
}

Deno.test("matchesGlob() finds what trying everything finds, in names of any length", () => {
  const random = new Random(1);
  let long = 0;
  let described = 0;
  for (let round = 0; round < 3000; round++) {
    // Short ones, long ones, and those that nearly fit at each place: they are tried again most often.
    const [bytes, pieces, sameness] = ([[10, 8, 0.5], [400, 100, 0.5], [400, 60, 0.98]] as const)[
      round % 3
    ] ?? [0, 0, 0];
    const name = Array.from(
      { length: random.integer(bytes + 1) },
      () => random.chance(sameness) ? "a" : random.pick(["a", "b", "c"]),
    ).join("");
    const [star] = PIECES;
    assert(star !== undefined);
    const chosen = Array.from(
      { length: random.integer(pieces + 1) },
      (_, at) =>
        at === 0 ? star : random.pick(random.chance(sameness) ? PIECES.slice(1, 3) : PIECES),
    );
    const pattern = chosen.map(([piece]) => piece).join("");
    const glob = new Glob(pattern);
    const expected = isDescribed(chosen.map(([, fits]) => fits), name);
    // The pattern takes another way when it has taken many steps.
    for (let again = 0; again < 20; again++) {
      assertEquals(glob.matches(name), expected, `${pattern} ${name}`);
    }
    const { steps } = glob;
    assertEquals(glob.matches(name), expected, `${pattern} ${name}`);
    if (steps > 256 * pattern.length && glob.steps - steps > 8 * name.length + 256) long++;
    if (expected) described++;
  }
  assert(long > 100 && described > 300, `${long} took long, ${described} are described`);
});

Deno.test("Glob takes a bounded number of steps, whatever the pattern", () => {
  const name = "a".repeat(2048);
  const patterns = [
    `*${"a".repeat(1000)}b`,
    `*${"?".repeat(1000)}b`,
    `${"*a".repeat(500)}b`,
    `${"*?".repeat(500)}b`,
    `*${"[^b]".repeat(250)}b`,
    `*[${"b".repeat(500)}]*[${"b".repeat(500)}]`,
  ];
  for (const pattern of patterns) {
    assert(pattern.length <= PATTERN_BYTES_MAX, pattern);
    const glob = new Glob(pattern);
    assertEquals(glob.matches(name), false, pattern);
    assert(
      glob.steps <= 257 * pattern.length + name.length * (8 + PATTERN_BYTES_MAX / 32 + 1) + 256,
      `${glob.steps} ${pattern}`,
    );
  }
});

Deno.test("matchesGlob() takes what is no pattern as Redis does", () => {
  for (
    const [pattern, name, expected] of [
      ["[", "a", false],
      ["[^", "a", true],
      ["[abc", "b", true],
      ["a\\", "a\\", true],
      ["a[]b", "ab", false],
      ["**", "", true],
      ["", "", true],
      ["", "a", false],
    ] as const
  ) {
    assertEquals(matchesGlob(pattern, name), expected, pattern);
  }
});
