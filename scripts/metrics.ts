/**
 * Writes the list of metrics in `docs/metrics.md` from the table of metrics.
 *
 * @module
 */

import { withMetricList } from "../tests/harness/metric_list.ts";

const path = new URL("../docs/metrics.md", import.meta.url);
await Deno.writeTextFile(path, withMetricList(await Deno.readTextFile(path)));
await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path.pathname] }).output();
