/**
 * The text format of Prometheus, version 0.0.4.
 *
 * Why not the library prom-client: it keeps its own copy of every figure and cannot be handed the buckets
 * of a histogram, so each command and each force would be counted twice. What is left of it, and of the
 * three packages that come with it, is this format.
 *
 * @module
 */

/** What `Content-Type` says of the text. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The names and values by which one figure of a metric is told from another. */
export type Labels = Readonly<Record<string, string>>;

/** One figure, by its labels. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** One histogram, by its labels. Bounds ascend, and each count has those of the lower bounds in it. */
export interface HistogramSample {
  readonly labels?: Labels;
  readonly buckets: readonly { readonly bound: number; readonly count: number }[];
  readonly sum: number;
  readonly count: number;
}

/** A metric and its figures. */
export type Family =
  & { readonly name: string; readonly help: string }
  & (
    | { readonly type: "counter" | "gauge"; readonly samples: readonly Sample[] }
    | { readonly type: "histogram"; readonly samples: readonly HistogramSample[] }
  );

/** Returns the text of `families`; those without a figure are left out. */
export function metricsText(families: readonly Family[]): string {
  return families.filter(({ samples }) => samples.length > 0).map((family) => {
    const { name, type, help } = family;
    const lines = family.type === "histogram"
      ? family.samples.flatMap((sample) => histogramLines(name, sample))
      : family.samples.map(({ labels, value }) => line(name, value, labels));
    return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n${lines.join("")}`;
  }).join("");
}

function histogramLines(
  name: string,
  { labels = {}, buckets, sum, count }: HistogramSample,
): string[] {
  return [
    ...buckets.map((one) =>
      line(`${name}_bucket`, one.count, { ...labels, le: String(one.bound) })
    ),
    line(`${name}_bucket`, count, { ...labels, le: "+Inf" }),
    line(`${name}_sum`, sum, labels),
    line(`${name}_count`, count, labels),
  ];
}

function line(name: string, value: number, labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([key, text]) =>
    `${key}="${escaped(text).replaceAll('"', '\\"')}"`
  );
  const set = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
  return `${name}${set} ${shown(value)}\n`;
}

function shown(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
