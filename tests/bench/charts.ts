/**
 * Pictures of figures, as SVG: lines over an axis, and groups of bars.
 *
 * @module
 */

/** A line of a chart. */
export interface Series {
  readonly name: string;
  /** In ascending order of `x`; points that are not finite are left out. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** An axis. */
export interface Axis {
  readonly label: string;
  /** Equal steps are equal factors. */
  readonly isLogarithmic?: boolean;
  /** Where it has marks; from 0, or the next power of ten, to the largest value, if not given. */
  readonly ticks?: readonly number[];
}

const [WIDTH, HEIGHT] = [720, 400];
const [LEFT, RIGHT, TOP, BOTTOM] = [76, 16, 72, 52];
const [RIGHT_END, BOTTOM_END] = [WIDTH - RIGHT, HEIGHT - BOTTOM];

/** Colours that can be told apart without seeing red or green (Okabe and Ito). */
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? "black";
}

/** Returns a picture of lines, with a mark at each point if there are few. */
export function lineChart(
  { title, x, y, series }: { title: string; x: Axis; y: Axis; series: readonly Series[] },
): string {
  const shown = series.map(({ name, points }) => ({
    name,
    points: points.filter((point) => point.every((value) => Number.isFinite(value))),
  })).filter(({ points }) => points.length > 0);
  const points = shown.flatMap((one) => one.points);
  const toX = scaleOf(x, points.map(([value]) => value), [LEFT, RIGHT_END]);
  const toY = scaleOf(y, points.map(([, value]) => value), [BOTTOM_END, TOP]);
  const lines = shown.flatMap(({ points }, index) => {
    const colour = colourOf(index);
    const places = points.map(([px, py]) => [round(toX.place(px)), round(toY.place(py))] as const);
    const path = places.map(([px, py]) => `${px},${py}`).join(" ");
    return [
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${path}"/>`,
      ...places.length > 16
        ? []
        : places.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`),
    ];
  });
  return picture({ title, names: shown.map(({ name }) => name) }, [
    ...horizontalLines(y, toY),
    ...toX.ticks.map((tick) => label(toX.place(tick), BOTTOM_END + 18, shownNumber(tick))),
    label((LEFT + RIGHT_END) / 2, HEIGHT - 12, x.label),
    ...lines,
  ]);
}

/** Returns a picture of bars, a group for each of `groups`, in which each series has one. */
export function barChart(
  { title, y, groups, series }: {
    title: string;
    y: Axis;
    groups: readonly string[];
    series: readonly { readonly name: string; readonly values: readonly number[] }[];
  },
): string {
  const values = series.flatMap((one) => one.values).filter(Number.isFinite);
  const toY = scaleOf(y, values, [BOTTOM_END, TOP]);
  const groupWidth = (RIGHT_END - LEFT) / groups.length;
  const barWidth = 0.7 * groupWidth / series.length;
  const bars = series.flatMap(({ values }, index) =>
    values.flatMap((value, group) => {
      if (!Number.isFinite(value)) return [];
      const left = LEFT + (group + 0.15) * groupWidth + index * barWidth;
      const top = toY.place(value);
      const [width, height] = [round(barWidth - 2), round(BOTTOM_END - top)];
      return [
        `<rect x="${round(left)}" y="${round(top)}" width="${width}" height="${height}" ` +
        `fill="${colourOf(index)}"/>`,
        label(left + barWidth / 2, top - 4, shownNumber(value)),
      ];
    })
  );
  return picture({ title, names: series.map(({ name }) => name) }, [
    ...horizontalLines(y, toY),
    ...groups.map((name, group) => label(LEFT + (group + 0.5) * groupWidth, BOTTOM_END + 18, name)),
    ...bars,
  ]);
}

interface Scale {
  readonly ticks: readonly number[];
  place(value: number): number;
}

/** Returns where values of an axis are, between `from` and `to`. */
function scaleOf(
  { isLogarithmic = false, ticks }: Axis,
  values: readonly number[],
  [from, to]: readonly [number, number],
): Scale {
  const positive = values.filter((value) => value > 0);
  const largest = Math.max(...positive, ...ticks ?? []);
  const least = Math.min(...positive, ...ticks ?? []);
  const transform = isLogarithmic ? Math.log10 : (value: number) => value;
  const marks = ticks ?? (isLogarithmic ? powersOfTen(least, largest) : roundSteps(largest));
  const low = transform(isLogarithmic ? Math.min(least, marks[0] ?? least) : 0);
  const high = transform(Math.max(largest, marks.at(-1) ?? largest));
  const place = (value: number) =>
    from + (to - from) * (transform(value) - low) / (high - low || 1);
  return { ticks: marks, place };
}

function powersOfTen(least: number, largest: number): number[] {
  const [low, high] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(largest))];
  return Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
}

/** Returns four to eight round numbers from 0 to at least `largest`. */
function roundSteps(largest: number): number[] {
  const unit = 10 ** Math.floor(Math.log10(largest / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((one) => largest / one <= 7) ??
    unit;
  return Array.from({ length: Math.ceil(largest / step) + 1 }, (_, index) => index * step);
}

function horizontalLines(axis: Axis, scale: Scale): string[] {
  const lines = scale.ticks.flatMap((tick) => {
    const at = round(scale.place(tick));
    return [
      `<line x1="${LEFT}" x2="${RIGHT_END}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
      label(LEFT - 8, at + 4, shownNumber(tick), "end"),
    ];
  });
  return [...lines, label(12, TOP - 10, axis.label, "start")];
}

function picture(
  { title, names }: { title: string; names: readonly string[] },
  content: readonly string[],
): string {
  let left = 12;
  const legend = names.flatMap((name, index) => {
    const at = left;
    left += 34 + 6.6 * name.length;
    return [
      `<rect x="${round(at)}" y="34" width="12" height="12" fill="${colourOf(index)}"/>`,
      label(at + 17, 44, name, "start"),
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ` +
    `font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="12" y="22" font-size="15" font-weight="bold">${escaped(title)}</text>`,
    ...legend,
    ...content,
    "</svg>",
    "",
  ].join("\n");
}

function label(x: number, y: number, text: string, anchor = "middle"): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="#333">${
    escaped(text)
  }</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function shownNumber(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return Number(value.toPrecision(3)).toLocaleString("en-US");
}

function round(value: number): number {
  return Math.round(10 * value) / 10;
}
