/** What `deploy/` has for Prometheus and Grafana: it reads metrics that there are, and alerts as told. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { METRICS } from "../src/node/admin/metrics.ts";
import { execute, isInstalled } from "./harness/processes.ts";

const ROOT = new URL("../", import.meta.url);
const RULES = new URL("deploy/prometheus-alerts.yml", ROOT).pathname;

const HAS_PROMTOOL = isInstalled("promtool");

/** The name of every series that a node serves. */
const SERIES: ReadonlySet<string> = new Set(
  METRICS.flatMap(({ name, type }) =>
    type === "histogram" ? ["_bucket", "_sum", "_count"].map((end) => `${name}${end}`) : [name]
  ),
);

/** Returns what `text` reads that no node serves. */
function unknownIn(text: string): string[] {
  const names = [...text.matchAll(/\b(?:dks|process)_[a-z0-9_]+/g)].map(([name]) => name);
  return [...new Set(names)].filter((name) => !SERIES.has(name));
}

const rules = await Deno.readTextFile(RULES);
const ALERTS = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name = ""]) => name);

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: Readonly<Record<"x" | "y" | "w" | "h", number>>;
  readonly targets?: readonly { readonly expr: string }[];
}

const dashboard: { readonly panels: readonly Panel[]; readonly annotations: unknown } = JSON.parse(
  await Deno.readTextFile(new URL("deploy/grafana-dashboard.json", ROOT)),
);

Deno.test("alerts and the dashboard read metrics that a node serves", () => {
  assertEquals(unknownIn(rules), []);
  assertEquals(unknownIn(JSON.stringify(dashboard)), []);
});

Deno.test("docs/operations.md says of each alert what it means and what to do", async () => {
  const text = await Deno.readTextFile(new URL("docs/operations.md", ROOT));
  const rows = [...text.matchAll(/^\| `(Dks\w+)` +\| (.+) \| (.+) \|$/gm)];
  assertEquals(rows.map(([, name]) => name), ALERTS);
});

Deno.test("every panel of the dashboard has a place of its own, and says what it shows", () => {
  const taken = new Map<string, string>();
  const ids = dashboard.panels.map(({ id }) => id);
  assertEquals(new Set(ids).size, ids.length);
  for (const { title, type, description, gridPos: { x, y, w, h }, targets } of dashboard.panels) {
    assert(x + w <= 24, `${title} is on the dashboard`);
    for (let row = y; row < y + h; row++) {
      for (let column = x; column < x + w; column++) {
        assertEquals(taken.get(`${row} ${column}`), undefined, `${title} lies on another panel`);
        taken.set(`${row} ${column}`, title);
      }
    }
    if (type === "row") continue;
    assertMatch(description ?? "", /\.$/, title);
    assert((targets ?? []).length > 0, title);
  }
});

Deno.test({
  name: "promtool understands what the dashboard asks",
  ignore: !HAS_PROMTOOL,
  fn: async () => {
    const asked = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const record = asked.map((expr, at) => ({
      record: `asked:${at}`,
      expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".+"),
    }));
    const file = await Deno.makeTempFile({ suffix: ".yml" });
    // Every JSON text is YAML.
    await Deno.writeTextFile(file, JSON.stringify({ groups: [{ name: "all", rules: record }] }));
    const { code, stdout, stderr } = await execute("promtool", ["check", "rules", file]);
    await Deno.remove(file);
    assertEquals(code, 0, stdout + stderr);
  },
});

Deno.test({
  name: "promtool check rules",
  ignore: !HAS_PROMTOOL,
  fn: async () => {
    const { code, stdout, stderr } = await execute("promtool", ["check", "rules", RULES]);
    assertEquals(code, 0, stdout + stderr);
  },
});

const NODES: readonly string[] = ["n1", "n2", "n3"];
const ALL = "0+0x60";

/** What three nodes say in an hour while all is well: `a+bxn` is a, and then n times b more. */
function healthy(): Map<string, string> {
  const series = new Map<string, string>();
  const set = (name: string, values: string, labels = "") => {
    for (const node of NODES) series.set(`${name}{job="dks",instance="${node}"${labels}}`, values);
  };
  set("up", "1+0x60");
  for (const name of ["dks_ready", "dks_complete", "dks_clock_right"]) set(name, "1+0x60");
  for (const name of ["dks_nodes", "dks_members"]) set(name, "3+0x60");
  const zeros = METRICS.filter(({ name, type }) =>
    type === "counter" || /^dks_(journal_trouble|in_doubt_|clock_offset|longest_)/.test(name)
  );
  for (const { name } of zeros) set(name, ALL);
  set("dks_memory_used_bytes", "100+0x60");
  set("dks_memory_max_bytes", "1000+0x60");
  set("dks_node_slow", ALL, ',node="n2"');
  set("dks_build_info", "1+0x60", ',version="0.1.0"');
  set("dks_write_seconds_bucket", "0+600x60", ',le="0.512"');
  set("dks_write_seconds_bucket", "0+590x60", ',le="0.016"');
  set("dks_write_seconds_bucket", "0+600x60", ',le="+Inf"');
  return series;
}

/** What is said instead, by node or by all: then this alert fires, so often. */
const CASES: Readonly<Record<string, readonly [says: Readonly<Record<string, string>>, number]>> = {
  DksNodeDown: [{ "up n1": ALL }, 1],
  DksNoMajority: [{ "dks_ready n1": ALL, "dks_ready n2": ALL }, 1],
  DksOneMoreFailureStopsWrites: [{ "dks_members": "2+0x60" }, 3],
  DksMemberMissing: [{ "dks_members n1": "2+0x60" }, 1],
  DksNotReady: [{ "dks_ready n3": ALL }, 1],
  DksWritesWait: [{ "dks_complete n3": ALL }, 1],
  DksViewsChangeOften: [{ "dks_views_installed_total": "0+1x60" }, 3],
  DksJournalTrouble: [{ "dks_journal_trouble n1": "1+0x60" }, 1],
  DksSlowDisk: [{ "dks_node_slow": "1+0x60" }, 1],
  DksSlowWrites: [{ 'dks_write_seconds_bucket n1 ,le="0.512"': "0+590x60" }, 1],
  DksRequestsFail: [{ "dks_requests_rejected_total n1": "0+100x60" }, 1],
  DksOutcomeUnknown: [{ "dks_requests_indeterminate_total n2": "0+1x60" }, 1],
  DksInDoubt: [{ "dks_in_doubt_oldest_seconds n2": "60+60x60" }, 1],
  DksClockOff: [{ "dks_clock_offset_seconds n2": "-0.3+0x60" }, 1],
  DksMemoryNearlyFull: [{ "dks_memory_used_bytes": "900+0x60" }, 3],
  DksLongTurns: [{ "dks_longest_recent_turn_seconds n1": "0.4+0x60" }, 1],
  DksConnectionsRefused: [{ "dks_client_connections_refused_total n1": "0+1x60" }, 1],
  DksPublicationsDropped: [{ "dks_publications_dropped_total n1": "0+1x60" }, 1],
  DksLogLinesDropped: [{ "dks_log_lines_dropped_total n1": "0+1x60" }, 1],
  DksTwoVersions: [{ 'dks_build_info n1 ,version="0.2.0"': "1+0x120" }, 1],
};

Deno.test({
  name: "each alert fires when it should, and none while all is well",
  ignore: !HAS_PROMTOOL,
  fn: async () => {
    assertEquals(Object.keys(CASES), ALERTS);
    const testOf = (series: ReadonlyMap<string, string>, alert: string, times: number) => ({
      interval: "1m",
      input_series: [...series].map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [{
        expr: `count(ALERTS{alertstate="firing"${alert === "" ? "" : `,alertname="${alert}"`}})`,
        eval_time: "60m",
        exp_samples: times === 0 ? [] : [{ labels: "{}", value: times }],
      }],
    });
    const tests = Object.entries(CASES).map(([alert, [says, times]]) => {
      const series = healthy();
      for (const [what, values] of Object.entries(says)) {
        const [name = "", only, labels = ""] = what.split(" ");
        for (const node of NODES.filter((one) => only === undefined || one === only)) {
          const known = [...series.keys()].find((one) =>
            one.startsWith(`${name}{job="dks",instance="${node}"${labels}`)
          );
          series.set(known ?? `${name}{job="dks",instance="${node}"${labels}}`, values);
        }
      }
      return testOf(series, alert, times);
    });
    const file = await Deno.makeTempFile({ suffix: ".yml" });
    const all = [testOf(healthy(), "", 0), ...tests];
    await Deno.writeTextFile(file, JSON.stringify({ rule_files: [RULES], tests: all }));
    const { code, stdout, stderr } = await execute("promtool", ["test", "rules", file]);
    await Deno.remove(file);
    assertEquals(code, 0, stdout + stderr);
  },
});
