/**
 * Writes `docs/config.schema.json` from the table of what `dks serve --config -` reads.
 *
 * @module
 */

import { documentSchema } from "../src/node/serve_settings.ts";

const path = new URL("../docs/config.schema.json", import.meta.url);
await Deno.writeTextFile(path, `${JSON.stringify(documentSchema(), null, 2)}\n`);
