/** What follows from tables of the source does so: `scripts/generate.ts` writes it. */

import { assertEquals } from "@std/assert";
import { generate, GENERATED } from "./harness/generated.ts";

for (const file of GENERATED) {
  Deno.test(`${file.path} is as scripts/generate.ts writes it`, async () => {
    const text = await Deno.readTextFile(new URL(`../${file.path}`, import.meta.url));
    assertEquals(text, await generate(file));
  });
}
