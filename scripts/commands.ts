/**
 * Writes the list of commands in `docs/commands.md` from the table of commands.
 *
 * @module
 */

import { withCommandList } from "../tests/harness/command_list.ts";

const path = new URL("../docs/commands.md", import.meta.url);
await Deno.writeTextFile(path, withCommandList(await Deno.readTextFile(path)));
await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path.pathname] }).output();
