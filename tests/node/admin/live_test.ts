/** What the status page is told: the views, the samples of the last minutes, and to how many pages. */

import { assert, assertEquals } from "@std/assert";
import { Histogram } from "../../../src/histogram.ts";
import { LIVE_PAGES_MAX } from "../../../src/limits.ts";
import { type HttpReply, HttpStream } from "../../../src/node/admin/http_server.ts";
import { LivePages } from "../../../src/node/admin/live_pages.ts";
import { Pace } from "../../../src/node/admin/pace.ts";
import { ViewHistory } from "../../../src/node/admin/view_history.ts";
import { Script } from "../../two_phase/script.ts";
import { liveState } from "./live_state.ts";

Deno.test("ViewHistory keeps the latest views, the newest first, with what has changed and why", () => {
  const history = new ViewHistory();
  const [replica] = Script.complete(3).replicas;
  assert(replica !== undefined);
  const { view } = replica.membership;
  const views = Array.from({ length: 13 }, (_, at) => ({
    ...view,
    number: at + 1,
    members: at % 2 === 0 ? 0b111 : 0b011,
  }));
  for (const [at, one] of views.entries()) {
    const before = views[at - 1] ?? { ...view, members: 0 };
    if (at === 12) history.onEvent({ type: "viewChangeBegins", ballot: "1.2", reason: "why" }, 0);
    history.onEvent({ type: "viewInstalled", view: one, before }, 1000 + at);
  }
  assertEquals(history.entries.length, 10);
  assertEquals(history.entries.slice(0, 2), [
    { at: 1012, number: 13, members: ["n0", "n1", "n2"], joined: ["n2"], left: [], reason: "why" },
    { at: 1011, number: 12, members: ["n0", "n1"], joined: [], left: ["n2"], reason: "" },
  ]);
});

Deno.test("Pace.sample() tells what came since the last one, by the time that has passed", () => {
  const pace = new Pace();
  const writeMs = new Histogram(1);
  const counts = { requests: 100, commits: 50, failures: 5, writeMs };
  pace.sample(counts, { monotonicMs: 0, wallMs: 10_000 });
  assertEquals(pace.samples, []);
  for (const ms of [1, 1, 1, 30]) writeMs.add(ms);
  pace.sample({ ...counts, requests: 300, commits: 54, failures: 6 }, {
    monotonicMs: 2000,
    wallMs: 12_000,
  });
  // The node has started over: what is counted begins at 0.
  pace.sample({ requests: 300, commits: 0, failures: 0, writeMs: new Histogram(1) }, {
    monotonicMs: 3000,
    wallMs: 13_000,
  });
  assertEquals(pace.samples, [
    { at: 12_000, requests: 100, commits: 2, failures: 1, medianMs: 1, p99Ms: 32 },
    { at: 13_000, requests: 0, commits: 0, failures: 0, medianMs: null, p99Ms: null },
  ]);
});

Deno.test("Pace keeps five minutes", () => {
  const pace = new Pace();
  for (let at = 0; at <= 400; at++) {
    const counts = { requests: at, commits: 0, failures: 0, writeMs: undefined };
    pace.sample(counts, { monotonicMs: 1000 * at, wallMs: 1000 * at });
  }
  assertEquals([pace.samples.length, pace.samples[0]?.at], [300, 101_000]);
});

Deno.test("LivePages keeps so many pages up to date, and refuses one more until one is closed", () => {
  const pages = new LivePages();
  let written = 0;
  const socket = {
    read: () => Promise.resolve(null),
    write: (bytes: Uint8Array) => {
      written++;
      return Promise.resolve(bytes.length);
    },
    close: () => {},
  };
  const open = (): (() => void) | HttpReply => {
    const reply = pages.open([], liveState());
    return "status" in reply ? reply : reply.onOpen(new HttpStream(socket));
  };
  pages.tell(() => {
    throw new Error("nobody looks");
  });
  const closes = Array.from({ length: LIVE_PAGES_MAX }, open);
  assertEquals([pages.size, written], [LIVE_PAGES_MAX, LIVE_PAGES_MAX]);
  const refused = open();
  assert(typeof refused !== "function");
  assertEquals([refused.status, refused.headers], [503, { "Retry-After": "10" }]);
  const [close] = closes;
  assert(typeof close === "function");
  close();
  assertEquals(typeof open(), "function");
});
