/** The list of metrics in the documents is that of the table. */

import { assertEquals } from "@std/assert";
import { withMetricList } from "./harness/metric_list.ts";

Deno.test("docs/metrics.md lists the metrics that there are: scripts/metrics.ts writes it", async () => {
  const path = new URL("../docs/metrics.md", import.meta.url);
  const text = await Deno.readTextFile(path);
  const folder = await Deno.makeTempDir();
  const file = `${folder}/metrics.md`;
  await Deno.writeTextFile(file, withMetricList(text));
  const config = new URL("../deno.json", import.meta.url).pathname;
  const args = ["fmt", "--quiet", "--config", config, file];
  await new Deno.Command(Deno.execPath(), { args }).output();
  const formatted = await Deno.readTextFile(file);
  await Deno.remove(folder, { recursive: true });
  assertEquals(text, formatted);
});
