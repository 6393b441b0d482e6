/**
 * Writes the files, and the parts of files, that follow from tables of the source.
 *
 * @module
 */

import { generate, GENERATED } from "../tests/harness/generated.ts";

for (const file of GENERATED) {
  await Deno.writeTextFile(new URL(`../${file.path}`, import.meta.url), await generate(file));
}
