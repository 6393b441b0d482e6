/** The list of commands in the documents is that of the table. */

import { assertEquals } from "@std/assert";
import { withCommandList } from "./harness/command_list.ts";

Deno.test("docs/commands.md lists the commands that there are: scripts/commands.ts writes it", async () => {
  const path = new URL("../docs/commands.md", import.meta.url);
  const text = await Deno.readTextFile(path);
  const folder = await Deno.makeTempDir();
  const file = `${folder}/commands.md`;
  await Deno.writeTextFile(file, withCommandList(text));
  const config = new URL("../deno.json", import.meta.url).pathname;
  const args = ["fmt", "--quiet", "--config", config, file];
  await new Deno.Command(Deno.execPath(), { args }).output();
  const formatted = await Deno.readTextFile(file);
  await Deno.remove(folder, { recursive: true });
  assertEquals(text, formatted);
});
