// The status page's own script. The node sends `history` once and `state` every second (LiveState in
// live_pages.ts); everything on the page is drawn from the last ones. Texts of the node are only ever
// put in as text.

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  /** As many samples as the node keeps: one a second. */
  const SAMPLES_MAX = 300;
  /** A page that was refused, or whose node is gone for long, asks again after so many milliseconds. */
  const AGAIN_MS = 5000;
  /** A node that has said nothing for so long is not there. */
  const SILENCE_MS = 4000;
  /** Rows of the table of the charts: half minutes. */
  const ROW_MS = 30_000;
  /** Most characters of an address in the picture; the table has all of it. */
  const NAME_MAX = 18;

  let samples = [];
  let state;
  let heardAt = 0;
  let source;

  const byId = (id) => document.getElementById(id);

  // --- Texts ---------------------------------------------------------------------------------

  const count = (value) => value.toLocaleString("en");
  const plural = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;
  const timeOf = (at) => new Date(at).toLocaleTimeString("en-GB");

  function stamp(at) {
    const date = new Date(at);
    const isToday = date.toDateString() === new Date().toDateString();
    return isToday ? timeOf(at) : `${date.toLocaleDateString("en-CA")} ${timeOf(at)}`;
  }

  function duration(seconds) {
    if (seconds < 120) return `${Math.floor(seconds)} s`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
    return seconds < 172_800
      ? `${Math.floor(seconds / 3600)} h`
      : `${Math.floor(seconds / 86_400)} days`;
  }

  function bytes(value) {
    const units = ["bytes", "KiB", "MiB", "GiB"];
    let at = 0;
    for (; value >= 1024 && at < units.length - 1; at++) value /= 1024;
    return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
  }

  function millis(value) {
    if (value === null || value === undefined) return "–";
    if (value >= 1000) return `${Number((value / 1000).toPrecision(2))} s`;
    return `${value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} ms`;
  }

  function setText(element, text) {
    // What has not changed is left alone: a screen reader would say it again.
    if (element.textContent !== text) element.textContent = text;
  }

  // --- Elements ------------------------------------------------------------------------------

  function svg(name, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  /** Fills a table: a row is an array of texts, or of `{text, kind}`; the first is the row's head. */
  function fill(id, rows) {
    const table = byId(id);
    const key = JSON.stringify(rows);
    table.hidden = rows.length === 0;
    if (table.dataset.shown === key) return;
    table.dataset.shown = key;
    const heads = [...table.tHead.rows[0].cells];
    const numeric = heads.map((cell) => cell.className === "number");
    const labels = heads.map((cell) => cell.textContent);
    table.tBodies[0].replaceChildren(...rows.map((cells) => {
      const row = document.createElement("tr");
      row.setAttribute("role", "row");
      cells.forEach((cell, at) => {
        const { text, kind } = typeof cell === "string" ? { text: cell, kind: "" } : cell;
        const element = document.createElement(at === 0 ? "th" : "td");
        if (at === 0) element.scope = "row";
        element.setAttribute("role", at === 0 ? "rowheader" : "cell");
        element.dataset.label = labels[at];
        element.className = `${numeric[at] ? "number" : ""} ${kind}`.trim();
        element.textContent = text;
        row.append(element);
      });
      return row;
    }));
  }

  // --- How it is -----------------------------------------------------------------------------

  const receivedText = (chunks) => `${plural(chunks, "part", "parts")} received`;

  function roleText({ role, chunks, isLearner, replaces }) {
    if (isLearner) {
      const part = role === "down" ? ", down" : chunks === null ? "" : `, ${receivedText(chunks)}`;
      return `learner${part}${replaces === null ? "" : `, replaces ${replaces}`}`;
    }
    return role === "joining" && chunks !== null ? `joining, ${receivedText(chunks)}` : role;
  }

  /** What a node looks like: one that is being added is not missed yet. */
  const lookOf = ({ role, isLearner }) =>
    isLearner ? role === "down" ? "outside" : "joining" : role;

  function additionText({ address, role, chunks, replaces }) {
    const aim = replaces === null ? "" : `, to replace ${replaces}`;
    const part = role === "down"
      ? ": it is not there yet"
      : chunks === null
      ? ""
      : `: ${receivedText(chunks)}`;
    return `${address} is being added${aim}${part}.`;
  }

  /** The disk of a member is slow: every write waits for it. */
  const isWaitedFor = ({ isSlow, role }) => isSlow && role === "member";

  function verdict({ status, whyNotReady }) {
    const { nodes, isComplete, inDoubt } = status;
    const counting = nodes.filter(({ isLearner }) => !isLearner);
    const others = counting.filter(({ role }) => role !== "member");
    const slow = nodes.filter(isWaitedFor).map(({ address }) => address);
    const self = nodes.find(({ isSelf }) => isSelf);
    if (whyNotReady !== null) {
      return self === undefined || self.role === "outside" || self.role === "joining"
        ? ["warn", `… This node answers no requests yet: ${whyNotReady}.`]
        : ["bad", `✕ This node answers no requests: ${whyNotReady}.`];
    }
    if (status.journalTrouble !== null) return ["bad", `✕ ${status.journalTrouble}.`];
    if (!isComplete) return ["bad", "✕ Writes wait: this node is not linked to all members."];
    const notes = [];
    if (others.length > 0) {
      const list = others.map((node) => `${node.address} is ${roleText(node)}`).join(", ");
      const members = counting.length - others.length;
      notes.push(`${members} of ${counting.length} nodes are members: ${list}.`);
    }
    notes.push(...nodes.filter(({ isLearner }) => isLearner).map(additionText));
    if (slow.length > 0) notes.push(`Every write waits for the slow disk of ${slow.join(", ")}.`);
    if (inDoubt > 0) {
      notes.push(`${plural(inDoubt, "transaction is", "transactions are")} in doubt.`);
    }
    if (!status.isClockRight) notes.push("The clock of this node is wrong.");
    if (notes.length > 0) return ["warn", `! Requests are served. ${notes.join(" ")}`];
    return nodes.length === 1
      ? ["good", "✓ This node is alone, and serves requests."]
      : ["good", `✓ All ${nodes.length} nodes are members, and requests are served.`];
  }

  function showHead() {
    const headline = byId("headline");
    const isSilent = performance.now() - heardAt > SILENCE_MS;
    if (state === undefined) {
      if (isSilent && heardAt > 0) setText(headline, "✕ This node does not answer.");
      return;
    }
    const { status } = state;
    const self = status.nodes.find(({ isSelf }) => isSelf)?.address ?? "";
    const [kind, text] = isSilent
      ? ["bad", `✕ This node has not been heard since ${timeOf(state.at)}: what follows is old.`]
      : verdict(state);
    headline.className = kind;
    setText(headline, text);
    setText(byId("self"), self);
    const sign = kind === "good" ? "" : `${text[0]} `;
    if (document.title !== `${sign}dks ${self}`) document.title = `${sign}dks ${self}`;
    const keys = status.nodes.find(({ isSelf }) => isSelf)?.keys ?? 0;
    setText(
      byId("facts"),
      `View ${count(status.view)}, ${plural(keys, "key", "keys")}, ` +
        `${plural(state.connections, "connection", "connections")}, ` +
        `up for ${duration(status.uptimeSeconds)}, as of ${timeOf(state.at)}`,
    );
  }

  // --- Nodes ---------------------------------------------------------------------------------

  const SIGNS = { member: "✓", joining: "…", outside: "○", down: "✕" };
  const CLASSES = { member: "good", joining: "warn", outside: "warn", down: "bad" };

  function showNodes({ nodes, view }) {
    fill(
      "nodes",
      nodes.map((node) => [
        node.address + (node.isSelf ? " (this one)" : ""),
        { text: `${SIGNS[lookOf(node)]} ${roleText(node)}`, kind: CLASSES[lookOf(node)] },
        node.hasLease === null ? "–" : node.hasLease ? "held" : {
          text: "none",
          kind: node.role === "member" ? "bad" : "",
        },
        millis(node.roundTripMs),
        node.keys === null ? "–" : count(node.keys),
        node.requestsPerSecond === null ? "–" : count(node.requestsPerSecond),
        node.role === "down" ? "–" : millis(node.forceMs),
        node.role === "down"
          ? "–"
          : node.isSlow
          ? { text: isWaitedFor(node) ? "! slow: writes wait for it" : "! slow", kind: "warn" }
          : "fast",
      ]),
    );
    drawPicture(nodes, view);
  }

  const short = (name) => name.length <= NAME_MAX ? name : `${name.slice(0, NAME_MAX - 1)}…`;

  /** Where each node is drawn: on a ring if that has room for their names, else in rows. */
  function placesOf(number, width) {
    const cell = 138;
    const ring = Math.min(width / 2 - 66, 220);
    if (number > 1 && number * 108 <= 2 * Math.PI * Math.min(ring, 150)) {
      const high = Math.max(92, ring * 0.58);
      const places = Array.from({ length: number }, (_, at) => {
        const angle = 2 * Math.PI * at / number - Math.PI / 2;
        return { x: width / 2 + ring * Math.cos(angle), y: 36 + high * (1 + Math.sin(angle)) };
      });
      return { places, height: 2 * high + 112, centre: { x: width / 2, y: 44 + high } };
    }
    const columns = Math.max(1, Math.min(number, Math.floor(width / cell)));
    const places = Array.from({ length: number }, (_, at) => ({
      x: width / columns * (at % columns + 0.5),
      y: 36 + Math.floor(at / columns) * 112,
    }));
    return { places, height: Math.ceil(number / columns) * 112 + 8, centre: undefined };
  }

  function drawPicture(nodes, view) {
    const picture = byId("picture");
    const width = Math.max(240, Math.round(picture.getBoundingClientRect().width));
    const { places, height, centre } = placesOf(nodes.length, width);
    const key = JSON.stringify([
      width,
      view,
      nodes.map((one) => [one.address, one.role, one.isSlow, one.isLearner]),
    ]);
    if (picture.dataset.shown === key) return;
    picture.dataset.shown = key;
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("height", height);
    const pairs = [];
    places.forEach((from, at) =>
      places.slice(at + 1).forEach((to, offset) => {
        const both = [nodes[at], nodes[at + 1 + offset]];
        if (centre === undefined || !both.every(({ isInView, isUp }) => isInView && isUp)) return;
        pairs.push(svg("line", { class: "pair", x1: from.x, y1: from.y, x2: to.x, y2: to.y }));
      })
    );
    const shapes = nodes.map((node, at) => {
      const { x, y } = places[at];
      const text = (dy, kind, content) => svg("text", { x, y: y + dy, class: kind }, content);
      const role = node.isLearner ? "learner" : node.role;
      const note = node.isSlow ? `${role}, slow disk` : role;
      return svg(
        "g",
        { class: `node ${isWaitedFor(node) ? "slow" : lookOf(node)} ${node.isSelf ? "self" : ""}` },
        svg("circle", { cx: x, cy: y, r: 24 }),
        text(6, "sign", isWaitedFor(node) ? "!" : SIGNS[lookOf(node)]),
        text(42, "name", short(node.address)),
        text(58, "dim", note + (node.isSelf ? ", this one" : "")),
      );
    });
    const middle = centre === undefined
      ? []
      : [svg("text", { class: "centre", x: centre.x, y: centre.y }, `view ${view}`)];
    picture.replaceChildren(...pairs, ...middle, ...shapes);
  }

  // --- Charts --------------------------------------------------------------------------------

  const PACE = [
    { name: "requests", kind: "first", of: ({ requests }) => requests },
    { name: "writes committed", kind: "second", of: ({ commits }) => commits },
    { name: "failed", kind: "third", of: ({ failures }) => failures },
  ];
  const LATENCY = [
    { name: "median, up to", kind: "first", of: ({ medianMs }) => medianMs },
    { name: "99 %, up to", kind: "second", of: ({ p99Ms }) => p99Ms },
  ];

  /** The least of 1, 2, 5, 10, … that is not below `value`. */
  function ceiling(value, least) {
    let top = least;
    for (let at = 0; top < value; at++) top *= at % 3 === 1 ? 2.5 : 2;
    return top;
  }

  function drawChart(id, series, { least, show }) {
    const chart = byId(id);
    const width = Math.max(240, Math.round(chart.getBoundingClientRect().width));
    const height = 190;
    const [left, right, top, bottom] = [58, 12, 10, 26];
    const last = samples.at(-1);
    const end = last?.at ?? state?.at ?? 0;
    const spanMs = SAMPLES_MAX * 1000;
    const values = samples.flatMap((sample) => series.map(({ of }) => of(sample) ?? 0));
    const high = ceiling(Math.max(0, ...values), least);
    const xOf = (at) => left + (width - left - right) * (1 - (end - at) / spanMs);
    const yOf = (value) => top + (height - top - bottom) * (1 - value / high);
    const lines = [0, 0.5, 1].flatMap((part) => {
      const y = yOf(high * part);
      return [
        svg("line", { class: "grid", x1: left, x2: width - right, y1: y, y2: y }),
        svg(
          "text",
          { class: "axis", x: left - 8, y: y + 4, "text-anchor": "end" },
          show(high * part),
        ),
      ];
    });
    const times = (width < 440 ? [4, 2, 0] : [5, 4, 3, 2, 1, 0]).map((minutes) => {
      const x = xOf(end - minutes * 60_000);
      const anchor = minutes === 0 ? "end" : minutes === 5 ? "start" : "middle";
      const text = minutes === 0 ? "now" : `−${minutes} min`;
      return svg("text", { class: "axis", x, y: height - 8, "text-anchor": anchor }, text);
    });
    const paths = series.map(({ kind, of }) =>
      svg("path", { class: `series ${kind}`, d: pathOf(of, xOf, yOf) })
    );
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.setAttribute("height", height);
    chart.replaceChildren(...lines, ...times, ...paths);
    byId(`${id}-legend`).replaceChildren(...series.map(({ name, kind, of }) => {
      const item = document.createElement("li");
      const stroke = svg("line", { class: `series ${kind}`, x1: 0, x2: 28, y1: 5, y2: 5 });
      const value = last === undefined ? null : of(last);
      const icon = svg("svg", { viewBox: "0 0 28 10", "aria-hidden": "true" }, stroke);
      item.append(icon, `${name}: ${value === null ? "–" : show(value)}`);
      return item;
    }));
  }

  /** A path with a gap wherever there is no value. A value between two gaps is a short stroke. */
  function pathOf(of, xOf, yOf) {
    const parts = [];
    let isDrawing = false;
    for (const sample of samples) {
      const value = of(sample);
      if (value === null) {
        isDrawing = false;
        continue;
      }
      const [x, y] = [xOf(sample.at).toFixed(1), yOf(value).toFixed(1)];
      parts.push(isDrawing ? `L${x} ${y}` : `M${x} ${y}h1`);
      isDrawing = true;
    }
    return parts.join("");
  }

  function showNumbers() {
    const rows = new Map();
    for (const sample of samples) {
      const until = Math.ceil(sample.at / ROW_MS) * ROW_MS;
      rows.set(until, [...rows.get(until) ?? [], sample]);
    }
    const mean = (list, of) =>
      count(Math.round(list.reduce((sum, one) => sum + of(one), 0) / list.length));
    const most = (list, of) => {
      const values = list.map(of).filter((value) => value !== null);
      return values.length === 0 ? "–" : millis(Math.max(...values));
    };
    fill(
      "numbers",
      [...rows].reverse().map(([until, list]) => [
        timeOf(until),
        ...PACE.map(({ of }) => mean(list, of)),
        ...LATENCY.map(({ of }) => most(list, of)),
      ]),
    );
  }

  // --- The rest ------------------------------------------------------------------------------

  function showDoubts({ inDoubt, doubts }) {
    const text = inDoubt === 0
      ? "None for a second or longer."
      : `${
        plural(inDoubt, "transaction is", "transactions are")
      } in doubt here: reads and writes ` +
        `of their keys wait.${inDoubt > doubts.length ? " The oldest:" : ""}`;
    setText(byId("doubt-text"), text);
    fill(
      "doubts",
      doubts.map((one) => [
        one.transaction,
        stamp(one.since),
        { text: one.waitsFor, kind: "long" },
        count(one.keys),
        { text: one.key, kind: "long" },
      ]),
    );
  }

  function showViews({ views, status }) {
    const text = views.length === 0
      ? `View ${count(status.view)} is from before this node's start.`
      : "The latest that this node has installed; a reason is known where this node has proposed it.";
    setText(byId("views-text"), text);
    fill(
      "views",
      views.map((view) => {
        const changes = [
          ...view.joined.map((name) => `+\u00a0${name}`),
          ...view.left.map((name) => `−\u00a0${name}`),
        ];
        return [
          count(view.number),
          stamp(view.at),
          count(view.members.length),
          { text: changes.length === 0 ? "the same members" : changes.join(", "), kind: "long" },
          { text: view.reason === "" ? "–" : view.reason, kind: "long" },
        ];
      }),
    );
  }

  function showMore({ status, usedBytes, boundBytes, longestTurnMs }) {
    const clock = status.clockOffMs === 0
      ? "agrees with the others"
      : `${Math.abs(status.clockOffMs)} ms ${
        status.clockOffMs > 0 ? "ahead of" : "behind"
      } the others`;
    const facts = [
      ["Version", status.version],
      ["Cluster", status.cluster === "" ? "not begun" : status.cluster],
      [
        "View since",
        status.viewSince === null ? "before this node's start" : stamp(status.viewSince),
      ],
      ["Journal", status.isEphemeral ? "none: a restart forgets everything" : status.journal],
      ["Memory of keys", bytes(usedBytes) + (boundBytes === 0 ? "" : ` of ${bytes(boundBytes)}`)],
      ["Clock", clock + (status.isClockRight ? "" : ": too far off")],
      ["Longest turn lately", millis(longestTurnMs)],
    ];
    if (status.origin !== null) {
      facts.push(["Started by force", `by ${status.origin.by}, ${stamp(status.origin.at)}`]);
    }
    const list = byId("more");
    const key = JSON.stringify(facts);
    if (list.dataset.shown === key) return;
    list.dataset.shown = key;
    list.replaceChildren(...facts.flatMap(([name, value]) => {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = value;
      return [term, text];
    }));
  }

  function show() {
    showHead();
    if (state === undefined) return;
    showNodes(state.status);
    drawChart("pace", PACE, { least: 10, show: (value) => count(Math.round(value)) });
    drawChart("latency", LATENCY, { least: 1, show: millis });
    showNumbers();
    showDoubts(state.status);
    showViews(state);
    showMore(state);
  }

  // --- Events --------------------------------------------------------------------------------

  function connect() {
    source?.close();
    const opened = source = new EventSource("events");
    opened.addEventListener("history", ({ data }) => {
      samples = JSON.parse(data);
    });
    opened.addEventListener("state", ({ data }) => {
      state = JSON.parse(data);
      heardAt = performance.now();
      const { sample } = state;
      if (sample !== null && sample.at > (samples.at(-1)?.at ?? 0)) {
        samples = [...samples, sample].slice(-SAMPLES_MAX);
      }
      show();
    });
    opened.addEventListener("error", () => {
      heardAt ||= performance.now() - SILENCE_MS;
      // The browser tries again by itself, unless the answer was no stream.
      if (opened.readyState !== EventSource.CLOSED) return;
      setTimeout(() => {
        if (source === opened && !document.hidden) connect();
      }, AGAIN_MS);
    });
  }

  // A page that nobody looks at leaves its place to another one.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return connect();
    source?.close();
    source = undefined;
  });
  addEventListener("resize", show);
  setInterval(showHead, 1000);
  if (!document.hidden) connect();
})();
