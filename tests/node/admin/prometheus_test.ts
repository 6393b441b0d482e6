/** The text format of Prometheus. */

import { assertEquals } from "@std/assert";
import { metricsText } from "../../../src/node/admin/prometheus.ts";

Deno.test("metricsText() writes each kind of metric", () => {
  const text = metricsText([
    { name: "a_total", help: "How many.", type: "counter", samples: [{ value: 3 }] },
    { name: "left_out", help: "None.", type: "gauge", samples: [] },
    {
      name: "b",
      help: "By kind.",
      type: "gauge",
      samples: [{ labels: { kind: "x", of: "y" }, value: -0.5 }, { value: Infinity }],
    },
    {
      name: "c_seconds",
      help: "How long.",
      type: "histogram",
      samples: [{
        labels: { phase: "p" },
        buckets: [{ bound: 0.5, count: 1 }, { bound: 1, count: 2 }],
        sum: 9.25,
        count: 3,
      }],
    },
  ]);
  assertEquals(
    text,
    `# HELP a_total How many.
# TYPE a_total counter
a_total 3
# HELP b By kind.
# TYPE b gauge
b{kind="x",of="y"} -0.5
b +Inf
# HELP c_seconds How long.
# TYPE c_seconds histogram
c_seconds_bucket{phase="p",le="0.5"} 1
c_seconds_bucket{phase="p",le="1"} 2
c_seconds_bucket{phase="p",le="+Inf"} 3
c_seconds_sum{phase="p"} 9.25
c_seconds_count{phase="p"} 3
`,
  );
});

Deno.test("metricsText() escapes what would end a label or a line", () => {
  const text = metricsText([{
    name: "a",
    help: 'a \\ and\na "quote"',
    type: "gauge",
    samples: [{ labels: { of: 'x"\\\ny' }, value: 1 }],
  }]);
  assertEquals(
    text,
    '# HELP a a \\\\ and\\na "quote"\n# TYPE a gauge\na{of="x\\"\\\\\\ny"} 1\n',
  );
});
