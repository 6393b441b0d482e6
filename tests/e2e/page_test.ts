/**
 * The status page in a headless Chromium, with states that are made up. What it looks like is left in
 * `build/screenshots/`, for somebody to look at.
 */

import { assert, assertEquals, assertGreaterOrEqual, assertMatch } from "@std/assert";
import { Histogram } from "../../src/histogram.ts";
import type { LiveState } from "../../src/node/admin/live_pages.ts";
import type { PaceCounts } from "../../src/node/admin/pace.ts";
import { PAGE } from "../../src/node/admin/page.ts";
import { StatusServer } from "../../src/node/admin/status_server.ts";
import { Browser, HAS_BROWSER, type Screen } from "../harness/browser.ts";
import { until } from "../harness/processes.ts";
import { AT, liveState, nodeStatus } from "../node/admin/live_state.ts";

const SHOTS = new URL("../../build/screenshots/", import.meta.url);

const DESKTOP: Screen = { width: 1200, height: 900 };
const DARK: Screen = { ...DESKTOP, isDark: true };
const PHONE: Screen = { width: 390, height: 844, scale: 2 };
const NARROW: Screen = { width: 320, height: 640, scale: 2, isDark: true };

/** A node whose state a test chooses. */
class MadeUpNode {
  state: LiveState = liveState();
  readonly #writeMs = new Histogram(0.0625);
  #requests = 0;
  readonly server = new StatusServer(
    { address: { hostname: "127.0.0.1", port: 0 }, names: [] },
    (error) => {
      throw error;
    },
  );

  constructor() {
    // deno-lint-ignore no-this-alias -- the server reads what a test has set meanwhile
    const node = this;
    this.server.serve({
      get whyNotReady() {
        return node.state.whyNotReady ?? undefined;
      },
      get paceCounts() {
        return node.#counts();
      },
      metrics: () => "",
      liveState: () => node.state,
    });
  }

  /** Each time that it is looked at there are more. */
  #counts(): PaceCounts {
    for (let at = 0; at < 50; at++) this.#writeMs.add(at === 0 ? 9 : 1);
    this.#requests += 1200;
    const { count } = this.#writeMs;
    return {
      requests: this.#requests,
      commits: count,
      failures: count / 50,
      writeMs: this.#writeMs,
    };
  }

  get url(): string {
    return `http://127.0.0.1:${this.server.port}/`;
  }
}

/** Runs `test` with a page that shows `node`. */
async function withPage(
  test: (node: MadeUpNode, browser: Browser) => Promise<void>,
): Promise<void> {
  const node = new MadeUpNode();
  const browser = await Browser.start();
  try {
    await browser.setScreen(DESKTOP);
    await browser.open(node.url);
    await test(node, browser);
  } finally {
    await browser.stop();
    node.server.close();
  }
}

async function untilHeadline(browser: Browser, headline: RegExp): Promise<void> {
  let shown = "";
  await until(`the page says ${headline}`, async () => {
    shown = await browser.textOf("#headline");
    return headline.test(shown);
  }).catch((error) => {
    throw new Error(`${error.message}, but it says ${shown}`);
  });
}

const DOWN = liveState(["member", "down", "member", "member", "member"]);

/** What a name may be that somebody else has chosen. */
const HOSTILE = '<img src=x onerror="pwned=1">';

/** States, and what the page must say of them. */
const STATES: Readonly<Record<string, readonly [state: LiveState, headline: RegExp]>> = {
  healthy: [liveState(), /^✓ All 5 nodes are members, and requests are served\.$/],
  alone: [liveState(["member"]), /^✓ This node is alone, and serves requests\.$/],
  down: [DOWN, /^! Requests are served\. 4 of 5 nodes are members: n2:5000 is down\.$/],
  minority: [
    liveState(["member", "down", "down", "down", "member"], { isComplete: false }, {
      whyNotReady:
        "no majority: n2:5000, n3:5000, n4:5000 cannot be reached, and 3 of 5 are needed",
    }),
    /^✕ This node answers no requests: no majority: n2:5000, .* are needed\.$/,
  ],
  incomplete: [
    liveState(undefined, { isComplete: false }),
    /^✕ Writes wait: this node is not linked to all members\.$/,
  ],
  "a lost journal": [
    liveState(undefined, { journalTrouble: "the journal is gone" }),
    /^✕ the journal is gone\.$/,
  ],
  joining: [
    liveState(["joining", "member", "member", "member", "member"], {}, {
      whyNotReady: "this node is outside view 3, and is joining again",
    }),
    /^… This node answers no requests yet: this node is outside view 3, and is joining again\.$/,
  ],
  "another joins": [
    liveState(["member", "joining", "member", "member", "member"]),
    /: n2:5000 is joining, 12 parts received\.$/,
  ],
  "a node is being added": [
    liveState(undefined, {
      nodes: [
        ...liveState(["member", "member", "down"]).status.nodes,
        { ...nodeStatus("n6:5000", "joining"), isLearner: true, replaces: "n3:5000" },
        { ...nodeStatus("n7:5000", "down"), isLearner: true },
      ],
    }),
    /^! Requests are served\. 2 of 3 nodes are members: n3:5000 is down\. n6:5000 is being added, to replace n3:5000: 12 parts received\. n7:5000 is being added: it is not there yet\.$/,
  ],
  slow: [
    liveState(undefined, {
      nodes: liveState().status.nodes.map((node, at) =>
        at === 2 ? { ...node, isSlow: true, forceMs: 312 } : node
      ),
    }),
    /^! Requests are served\. Every write waits for the slow disk of n3:5000\.$/,
  ],
  "slow outside": [
    liveState(["member", "outside", "member", "member", "member"], {
      nodes: [
        nodeStatus("n1:5000", "member", true),
        { ...nodeStatus("n2:5000", "outside"), isSlow: true },
      ],
    }),
    /^! Requests are served\. 1 of 2 nodes are members: n2:5000 is outside\.$/,
  ],
  "in doubt": [
    liveState(undefined, {
      inDoubt: 11,
      doubts: Array.from({ length: 10 }, (_, at) => ({
        transaction: `0.1.${at}.5f3a2b`,
        since: AT - 5000,
        keys: 3,
        key: `"${HOSTILE}${"k".repeat(10)}"`,
        waitsFor: "its coordinator n1:5000",
        nodes: ["n1:5000"],
      })),
    }),
    /^! Requests are served\. 11 transactions are in doubt\.$/,
  ],
  "a wrong clock": [
    liveState(undefined, { clockOffMs: 4000, isClockRight: false }),
    /The clock of this node is wrong\.$/,
  ],
  many: [
    liveState(undefined, {
      nodes: Array.from({ length: 31 }, (_, at) =>
        nodeStatus(
          `dks-${at}.dks.${"aspacewithalongname".repeat(3)}.svc:5000`,
          at === 30 ? "down" : "member",
          at === 0,
        )),
    }),
    /^! Requests are served\. 30 of 31 nodes are members: dks-30\..* is down\.$/,
  ],
  hostile: [
    liveState(undefined, {
      nodes: [nodeStatus(HOSTILE, "member", true)],
      journal: HOSTILE,
      cluster: HOSTILE,
    }, {
      views: [{
        at: AT,
        number: 1,
        members: [HOSTILE],
        joined: [HOSTILE],
        left: [],
        reason: HOSTILE,
      }],
    }),
    /^✓ This node is alone/,
  ],
};

/** In the page: the least contrast of texts with what is behind them, and which text that is. */
const LEAST_CONTRAST = `(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const part = (value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (element) => {
    for (let one = element; one !== null; one = one.parentElement) {
      const color = parse(getComputedStyle(one).backgroundColor);
      if (color[3] === undefined || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("h1,h2,p,th,td,dt,dd,li,summary,svg text")];
  return texts.filter((one) => one.textContent !== "").map((one) => {
    const style = getComputedStyle(one);
    const own = light(parse(one instanceof SVGElement ? style.fill : style.color));
    const back = light(behind(one));
    const ratio = (Math.max(own, back) + 0.05) / (Math.min(own, back) + 0.05);
    return { ratio, text: one.textContent };
  }).sort((a, b) => a.ratio - b.ratio)[0];
})()`;

Deno.test({
  name: "the status page shows each state, on a desk, on a phone and in the dark",
  ignore: !HAS_BROWSER,
  fn: async (test) => {
    await Deno.mkdir(SHOTS, { recursive: true });
    await withPage(async (node, browser) => {
      await until("there is a chart", async () => {
        return await browser.evaluate<boolean>(
          `/^M.*L/.test(document.querySelector("#latency .second")?.getAttribute("d") ?? "")`,
        );
      });
      for (const [name, [state, headline]] of Object.entries(STATES)) {
        await test.step(name, async () => {
          node.state = state;
          await untilHeadline(browser, headline);
          const slow = await browser.evaluate<string>(
            `[...document.querySelectorAll("#picture .slow .name")].map((e) => e.textContent).join()`,
          );
          assertEquals(slow, name === "slow" ? "n3:5000" : "");
          for (const [screen, one] of Object.entries({ DESKTOP, DARK, PHONE, NARROW })) {
            await browser.setScreen(one);
            await until("it is drawn anew", async () =>
              await browser.evaluate<boolean>(`(() => {
                const { viewBox, clientWidth } = document.querySelector("#pace");
                return Math.abs(viewBox.baseVal.width - clientWidth) < 2;
              })()`));
            const width = await browser.evaluate<number>("document.documentElement.scrollWidth");
            assertEquals(width, one.width, `${screen}: nothing stands out`);
            const least = await browser.evaluate<{ ratio: number; text: string }>(LEAST_CONTRAST);
            assertGreaterOrEqual(least.ratio, 4.5, `${screen}: the contrast of ${least.text}`);
            const file = `${name.replaceAll(" ", "_")}-${screen.toLowerCase()}.png`;
            await Deno.writeFile(new URL(file, SHOTS), await browser.screenshot(one));
          }
          await browser.setScreen(DESKTOP);
        });
      }
      assertEquals(await browser.evaluate("typeof pwned"), "undefined");
      // Everything comes from this node, and nothing has broken a rule of the policy.
      assertEquals(new Set(browser.requested), new Set([node.url, `${node.url}events`]));
      assertEquals(browser.complaints, []);
    });
  },
});

Deno.test({
  name:
    "the status page is there for a screen reader: headings, tables on a phone too, one live text",
  ignore: !HAS_BROWSER,
  fn: async () => {
    await withPage(async (node, browser) => {
      node.state = DOWN;
      for (const screen of [DESKTOP, PHONE]) {
        await browser.setScreen(screen);
        await untilHeadline(browser, /n2:5000 is down/);
        let lines: string[] = [];
        // The browser makes this tree by and by.
        await until("the tables are there", async () => {
          lines = await browser.accessibleLines();
          return lines.filter((line) => line.startsWith("rowheader ")).length >= 6;
        });
        const headings = lines.filter((line) => line.startsWith("heading "));
        assertEquals(headings, [
          "heading dks n1:5000",
          "heading Nodes",
          "heading Requests at this node, a second",
          "heading How long writes take here",
          "heading The numbers of both charts",
          "heading Transactions in doubt",
          "heading Views",
          "heading This node",
        ]);
        const heads = lines.filter((line) => line.startsWith("rowheader "));
        assertEquals(heads, [
          "rowheader n1:5000 (this one)",
          "rowheader n2:5000",
          "rowheader n3:5000",
          "rowheader n4:5000",
          "rowheader n5:5000",
          "rowheader 3",
        ]);
        assert(lines.includes("columnheader Role"), "the columns have names");
        assert(lines.some((line) => /^(image|img) The nodes; the table/.test(line)), "a picture");
        assertEquals(lines.filter((line) => /^status\b/.test(line)).length, 1);
      }
      const live = "document.querySelectorAll('[aria-live],[role=status],[role=alert]').length";
      assertEquals(await browser.evaluate(live), 1);
      // What is read aloud does not change while nothing happens.
      await browser.evaluate(`globalThis.changes = 0;
        new MutationObserver(() => changes++).observe(document.querySelector("#headline"), {
          childList: true, subtree: true, characterData: true,
        });`);
      const facts = await browser.textOf("#facts");
      node.state = { ...node.state, at: node.state.at + 5000, connections: 9 };
      await until("there is news", async () => await browser.textOf("#facts") !== facts);
      assertEquals(await browser.evaluate("changes"), 0);
    });
  },
});

Deno.test({
  name: "the status page says that its node is gone, and goes on when it is back",
  ignore: !HAS_BROWSER,
  fn: async () => {
    await withPage(async (node, browser) => {
      await untilHeadline(browser, /^✓ All 5/);
      const { port } = node.server;
      node.server.close();
      await untilHeadline(
        browser,
        /^✕ This node has not been heard since .*: what follows is old\.$/,
      );
      assertEquals(await browser.evaluate("document.title"), "✕ dks n1:5000");
      const again = new StatusServer(
        { address: { hostname: "127.0.0.1", port }, names: [] },
        () => {},
      );
      again.serve({
        whyNotReady: undefined,
        paceCounts: { requests: 0, commits: 0, failures: 0, writeMs: undefined },
        metrics: () => "",
        liveState: () => DOWN,
      });
      await untilHeadline(browser, /n2:5000 is down/);
      again.close();
    });
  },
});

Deno.test("PAGE allows its own script and style by their hashes, and nothing of elsewhere", async () => {
  const policy = PAGE.headers?.["Content-Security-Policy"] ?? "";
  assertMatch(policy, /^default-src 'none'; /);
  assertEquals(/unsafe|\*|https?:/.test(policy), false, policy);
  for (const element of ["script", "style"]) {
    const content = PAGE.body.split(`<${element}>`)[1]?.split(`</${element}>`)[0] ?? "";
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(content));
    const hash = btoa(String.fromCharCode(...new Uint8Array(digest)));
    assert(policy.includes(`${element}-src 'sha256-${hash}'`), policy);
  }
  // What it needs is in it: no address of elsewhere but the name of SVG.
  const addresses = [...PAGE.body.matchAll(/\bhttps?:\/\/[^"'\s]+/g)].map(([text]) => text);
  assertEquals(addresses, ["http://www.w3.org/2000/svg"]);
});
