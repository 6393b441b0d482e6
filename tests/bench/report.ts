/**
 * Tables and pictures of all results: the marked parts of `docs/performance.md` and of the
 * README, and `docs/pictures/`.
 *
 * @module
 */

import { execute } from "../harness/processes.ts";
import { barChart, lineChart } from "./charts.ts";
import {
  CLUSTER_SIZES,
  COMMANDS,
  CONNECTIONS,
  DEPTHS,
  DKS,
  DKS_EPHEMERAL,
  DKS_ONE,
  ETCD,
  HOT,
  OPERATIONS,
  PARTS,
  PHASES,
  REDIS_ALL,
  REDIS_ONE,
  VALUE_SIZES,
  ZOOKEEPER,
} from "./parts.ts";
import { Figures, type PartResult, readResult } from "./results.ts";

const DOCUMENT = new URL("../../docs/performance.md", import.meta.url);
const README = new URL("../../README.md", import.meta.url);
const PICTURES = new URL("../../docs/pictures/", import.meta.url);

/** A row of the goals: what is compared, and the least (or most) that is wanted. */
interface Goal {
  readonly what: string;
  readonly isLessBetter?: boolean;
  readonly floor: number;
  readonly goal: number;
  readonly value: (peers: Figures) => number;
}

/** Figures of dks as parts of others', each of the same run. */
const GOALS: readonly Goal[] = [
  {
    what: "SET, 50 clients, against Redis 1 + 4, all forced (WAIT 4)",
    ...{ floor: 0.9, goal: 1.25 },
    value: (peers) => ratio(peers, "SET, 50 clients", REDIS_ALL),
  },
  {
    what: "SET, 50 clients, 32 deep, against its 32 SETs per WAIT",
    ...{ floor: 0.85, goal: 1 },
    value: (peers) => ratio(peers, "SET, 32 deep", REDIS_ALL),
  },
  {
    what: "SET, one client, mean latency against it",
    ...{ floor: 1.4, goal: 1.2, isLessBetter: true },
    value: (peers) =>
      peers.meanMs(DKS, "SET, one client") / peers.meanMs(REDIS_ALL, "SET, one client"),
  },
  {
    what: "SET, 50 clients at all five nodes, against all at one",
    ...{ floor: 0.9, goal: 1 },
    value: (peers) =>
      peers.perSecond(DKS, "SET, 50 clients, at all nodes") /
      peers.perSecond(DKS, "SET, 50 clients"),
  },
  {
    what: "the same, 32 deep",
    ...{ floor: 0.8, goal: 1 },
    value: (peers) =>
      peers.perSecond(DKS, "SET, 32 deep, at all nodes") / peers.perSecond(DKS, "SET, 32 deep"),
  },
  {
    what: "SET, 50 clients, against etcd with 50 connections",
    ...{ floor: 2.8, goal: 4 },
    value: (peers) => ratio(peers, "SET, 50 clients", ETCD),
  },
  {
    what: "SET, 50 clients, against etcd with one connection for all 50",
    ...{ floor: 2.1, goal: 3 },
    value: (peers) =>
      peers.perSecond(DKS, "SET, 50 clients") /
      peers.perSecond(ETCD, "SET, 50 clients on one connection"),
  },
  {
    what: "GET, 50 clients, against one Redis",
    ...{ floor: 0.8, goal: 0.9 },
    value: (peers) => ratio(peers, "GET, 50 clients", REDIS_ONE),
  },
  {
    what: "GET, 50 clients, 32 deep, against one Redis",
    ...{ floor: 0.5, goal: 0.6 },
    value: (peers) => ratio(peers, "GET, 32 deep", REDIS_ONE),
  },
  {
    what: "GET, 50 clients, against etcd's linearizable read",
    ...{ floor: 6, goal: 7 },
    value: (peers) => ratio(peers, "GET, 50 clients", ETCD),
  },
  {
    what: "processor time of a SET, 50 clients, against Redis, all forced",
    ...{ floor: 1.6, goal: 1.2, isLessBetter: true },
    value: (peers) =>
      peers.cpuMicros(DKS, "SET, 50 clients") / peers.cpuMicros(REDIS_ALL, "SET, 50 clients"),
  },
  {
    what: "an idle node, % of a core",
    ...{ floor: 1, goal: 0.5, isLessBetter: true },
    value: (peers) => peers.figure("idle node, % of a core"),
  },
  {
    what: "durable against --ephemeral, SET, 50 clients",
    ...{ floor: 0.5, goal: 0.6 },
    value: (peers) => ratio(peers, "SET, 50 clients", DKS_EPHEMERAL),
  },
  {
    what: "the same, 32 deep",
    ...{ floor: 0.8, goal: 0.85 },
    value: (peers) => ratio(peers, "SET, 32 deep", DKS_EPHEMERAL),
  },
];

/** Throughput of five durable nodes as a part of that of `system`. */
function ratio(peers: Figures, what: string, system: string): number {
  return peers.perSecond(DKS, what) / peers.perSecond(system, what);
}

/** Returns the table of goals, for a terminal and for a document. */
export async function formatGoals(isQuick: boolean): Promise<string> {
  const peers = new Figures(await readResult("peers", isQuick));
  return table(
    ["work", "measured", "floor", "goal", ""],
    GOALS.map(({ what, isLessBetter = false, floor, goal, value }) => {
      const measured = value(peers);
      const reaches = (bound: number) => isLessBetter ? measured <= bound : measured >= bound;
      const verdict = Number.isNaN(measured)
        ? "not measured"
        : reaches(goal)
        ? "goal met"
        : reaches(floor)
        ? "floor met"
        : "missed";
      return [what, shown(measured), String(floor), String(goal), verdict];
    }),
  );
}

/** Writes all tables and pictures. A part without results keeps what the documents have. */
export async function writeReport(): Promise<void> {
  await Deno.mkdir(PICTURES, { recursive: true });
  let document = await Deno.readTextFile(DOCUMENT);
  const results = new Map<string, PartResult>();
  for (const { name } of PARTS) {
    const result = await readResult(name, false);
    if (result === undefined) continue;
    results.set(name, result);
    const text = await SECTIONS[name]?.(new Figures(result)) ?? "";
    document = withSection(document, name, `${origin(result)}\n\n${text}`);
  }
  await writeDocument(DOCUMENT, document);
  const [peers, depth] = [results.get("peers"), results.get("depth")];
  if (peers === undefined || depth === undefined) return;
  const summary = [
    origin(peers),
    summarize(new Figures(peers)),
    "![Throughput of SET against depth](docs/pictures/depth.svg)",
    "![Latency distribution of SET](docs/pictures/latency.svg)",
  ].join("\n\n");
  await writeDocument(README, withSection(await Deno.readTextFile(README), "summary", summary));
}

/** The figures that a reader asks for first. */
function summarize(peers: Figures): string {
  const works: readonly (readonly [work: string, others: readonly string[]])[] = [
    ["SET, 50 clients", [REDIS_ALL, ETCD, ZOOKEEPER]],
    ["GET, 50 clients", [REDIS_ONE, ETCD, ZOOKEEPER]],
  ];
  return works.map(([work, others]) => {
    const of = (system: string) => `${count(peers.perSecond(system, work))}/s (${system})`;
    return `- ${work}: **${count(peers.perSecond(DKS, work))}/s** on five nodes, beside ${
      others.filter((system) => peers.runs(system, work).length > 0).map(of).join(", ")
    }.`;
  }).join("\n");
}

/** Returns `document` with another text between the marks of `name`. */
function withSection(document: string, name: string, text: string): string {
  const begin = `<!-- bench ${name} -->`;
  const end = `<!-- end of bench ${name} -->`;
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`a document has no "${begin}" … "${end}"`);
  return `${document.slice(0, from)}${begin}\n\n${text}\n\n${document.slice(to)}`;
}

async function writeDocument(path: URL, text: string): Promise<void> {
  await Deno.writeTextFile(path, text);
  const { code, stderr } = await execute(Deno.execPath(), ["fmt", "--quiet", path.pathname]);
  if (code !== 0) throw new Error(stderr);
}

/** Most of the processors, in %, that other programs may take before figures mean something. */
const QUIET_PERCENT = 10;

/** Says where figures come from. */
function origin(result: PartResult): string {
  const { part, commit, isChanged, finishedAt, seconds, othersPercent } = result;
  const { processor, cores, kernel } = result.machine;
  const changed = isChanged ? " with changes that are in no commit" : "";
  const isVoid = othersPercent > QUIET_PERCENT;
  return [
    ...isVoid ? ["**The machine was busy: these figures only show that it was measured.**"] : [],
    `_Commit ${commit}${changed}, ${finishedAt.slice(0, 10)}, ${cores} cores`,
    `(${processor.trim()}), Linux ${kernel}; part \`${part}\`, ${seconds} s.`,
    `Just before it, other programs took ${othersPercent} % of the processors._`,
  ].join(" ");
}

/** What a part's figures look like in the document, by its name; pictures are written aside. */
const SECTIONS: Readonly<Record<string, (figures: Figures) => string | Promise<string>>> = {
  peers: async (figures) => {
    const systems = [DKS, DKS_EPHEMERAL, DKS_ONE, REDIS_ALL, REDIS_ONE, ETCD, ZOOKEEPER];
    const points = [
      "1",
      "5",
      "10",
      "20",
      "30",
      "40",
      "50",
      "60",
      "70",
      "80",
      "90",
      "95",
      "98",
      "99",
    ];
    await draw(
      "latency",
      lineChart({
        title: "SET, 50 clients: latency distribution",
        x: { label: "milliseconds", isLogarithmic: true },
        y: { label: "% of requests took no longer", ticks: [0, 20, 40, 60, 80, 100] },
        series: [DKS, REDIS_ALL, ETCD, ZOOKEEPER].map((name) => ({
          name,
          points: points.map((point) =>
            [figures.percentile(name, "SET, 50 clients", point), Number(point)] as const
          ),
        })),
      }),
    );
    const rows = (what: string) =>
      systems.filter((system) => figures.runs(system, what).length > 0).map((system) => [
        what,
        system,
        count(figures.perSecond(system, what)),
        shown(figures.percentile(system, what, "50")),
        shown(figures.percentile(system, what, "99")),
        shown(figures.cpuMicros(system, what)),
        shown(
          figures.perSecond(DKS, what.replace(" on one connection", "")) /
            figures.perSecond(system, what),
        ),
      ]);
    const whats = [
      ...["SET, 50 clients", "SET, 50 clients on one connection", "SET, 32 deep"],
      ...["SET, one client", "SET, 50 clients, at all nodes", "SET, 32 deep, at all nodes"],
      ...["GET, 50 clients", "GET, 32 deep", "GET, one client"],
    ];
    const heading = [
      "work",
      "store",
      "per second",
      "p50 ms",
      "p99 ms",
      "CPU µs",
      "dks is … as fast",
    ];
    return [
      await formatGoals(false),
      table(heading, whats.flatMap(rows)),
      "![Latency distribution of SET](pictures/latency.svg)",
    ].join("\n\n");
  },

  commands: (figures) =>
    table(
      ["command", "one at a time", "p99 ms", "32 in a pipeline"],
      COMMANDS.map(([name]) => [
        name,
        `${count(figures.perSecond(DKS, `${name}, 1`))}/s`,
        shown(figures.percentile(DKS, `${name}, 1`, "99")),
        `${count(figures.perSecond(DKS, `${name}, 32`))}/s`,
      ]),
    ),

  hot: (figures) =>
    table(
      ["", "INCR per second", "p50 ms", "p99 ms", "aborts per commit"].concat(
        ["least of a client, of the most", "least of a node, of the most"],
      ),
      HOT.map((what) => [
        what,
        count(figures.perSecond(DKS, what)),
        shown(figures.percentile(DKS, what, "50")),
        shown(figures.percentile(DKS, what, "99")),
        shown(figures.figure(`aborts per commit, ${what}`)),
        shown(figures.figure(`least of a client by most, ${what}`)),
        shown(figures.figure(`least of a node by most, ${what}`)),
      ]),
    ),

  depth: async (figures) => {
    const systems = [DKS, REDIS_ALL];
    await draw(
      "depth",
      lineChart({
        title: "SET, 50 clients: throughput against depth",
        x: { label: "requests under way on each connection", isLogarithmic: true, ticks: DEPTHS },
        y: { label: "SET per second" },
        series: systems.map((name) => ({
          name,
          points: DEPTHS.map((depth) => [depth, figures.perSecond(name, String(depth))] as const),
        })),
      }),
    );
    const rows = DEPTHS.map((depth) => [
      String(depth),
      ...systems.flatMap((name) => [
        count(figures.perSecond(name, String(depth))),
        shown(figures.percentile(name, String(depth), "99")),
      ]),
    ]);
    const heading = ["depth", ...systems.flatMap((name) => [`${name}: SET/s`, "p99 ms"])];
    return `${table(heading, rows)}\n\n![Throughput against depth](pictures/depth.svg)`;
  },

  "one-five": async (figures) => {
    const systems = [DKS_ONE, DKS];
    const groups = OPERATIONS.map(([name]) => name);
    await draw(
      "one-five",
      barChart({
        title: "One client: mean latency of one node and of five",
        y: { label: "milliseconds" },
        groups,
        series: systems.map((name) => ({
          name,
          values: groups.map((operation) => figures.meanMs(name, `${operation}, 1`)),
        })),
      }),
    );
    const rows = groups.flatMap((operation) =>
      systems.map((name) => [
        operation,
        name,
        shown(figures.meanMs(name, `${operation}, 1`)),
        shown(figures.percentile(name, `${operation}, 1`, "99")),
        count(figures.perSecond(name, `${operation}, 50`)),
        shown(figures.percentile(name, `${operation}, 50`, "99")),
      ])
    );
    const heading = ["", "", "one client: mean ms", "p99 ms", "50 clients: per second", "p99 ms"];
    return `${table(heading, rows)}\n\n![One node against five](pictures/one-five.svg)`;
  },

  growth: async (figures) => {
    const whats = ["SET at one", "SET at all", "GET at all"];
    await draw(
      "growth",
      lineChart({
        title: "50 clients: throughput of 1, 3, 5 and 7 nodes on two cores",
        x: { label: "nodes", ticks: CLUSTER_SIZES },
        y: { label: "requests per second", isLogarithmic: true },
        series: whats.map((what) => ({
          name: what,
          points: CLUSTER_SIZES.map((nodes) => [nodes, figures.perSecond(String(nodes), what)]),
        })),
      }),
    );
    const rows = CLUSTER_SIZES.map((nodes) => [
      String(nodes),
      ...whats.map((what) => count(figures.perSecond(String(nodes), what))),
      shown(figures.meanMs(String(nodes), "SET, one client")),
      shown(figures.cpuMicros(String(nodes), "SET at one")),
    ]);
    const heading = ["nodes", ...whats.map((what) => `${what}, per second`)];
    return `${
      table([...heading, "SET, one client, mean ms", "CPU µs of a SET"], rows)
    }\n\n![Growth with the number of nodes](pictures/growth.svg)`;
  },

  size: (figures) =>
    overAxis(figures, {
      picture: "size",
      title: "50 clients: throughput against the size of values",
      label: "bytes of a value",
      places: VALUE_SIZES,
    }),

  connections: (figures) =>
    overAxis(figures, {
      picture: "connections",
      title: "Throughput against the number of connections",
      label: "connections",
      places: CONNECTIONS,
    }),

  memory: (figures) =>
    table(["what", "bytes for a key of 16 and a value of 100 bytes", "goal"], [
      ["resident memory", shown(figures.figure("resident bytes per key")), "300"],
      ["`used_memory`", shown(figures.figure("used_memory per key")), ""],
    ]),

  rejoin: (figures) => {
    const of = (phase: string, what: string) => figures.figure(`${phase}: ${what}`);
    const rows = PHASES.map((phase) => [
      phase,
      shown(of(phase, "seconds")),
      count(of(phase, "requests per second")),
      shown(of(phase, "requests per second") / of("all", "requests per second")),
      String(of(phase, "errors")),
      count(of(phase, "longest time without a write, ms")),
    ]);
    const heading = ["phase", "seconds", "requests per second", "part of `all`", "errors"];
    return table([...heading, "longest time without a write, ms"], rows);
  },
};

/** SET and GET over an axis. */
async function overAxis(
  figures: Figures,
  { picture, title, label, places }: {
    picture: string;
    title: string;
    label: string;
    places: readonly number[];
  },
): Promise<string> {
  await draw(
    picture,
    lineChart({
      title,
      x: { label, isLogarithmic: true, ticks: places },
      y: { label: "requests per second", isLogarithmic: true },
      series: ["SET", "GET"].map((name) => ({
        name,
        points: places.map((place) => [place, figures.perSecond(String(place), name)] as const),
      })),
    }),
  );
  const rows = places.map((place) => [
    place.toLocaleString("en-US"),
    ...["SET", "GET"].flatMap((name) => [
      count(figures.perSecond(String(place), name)),
      shown(figures.percentile(String(place), name, "99")),
    ]),
  ]);
  const heading = [label, "SET per second", "p99 ms", "GET per second", "p99 ms"];
  return `${table(heading, rows)}\n\n![${title}](pictures/${picture}.svg)`;
}

async function draw(name: string, svg: string): Promise<void> {
  await Deno.writeTextFile(new URL(`${name}.svg`, PICTURES), svg);
}

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const marks = heading.map((_, index) => index === 0 ? "---" : "---:");
  return [line(heading), line(marks), ...rows.map(line)].join("\n");
}

/** Returns three significant digits. */
function shown(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 100 ? count(value) : String(Number(value.toPrecision(3)));
}

function count(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString("en-US") : "–";
}
