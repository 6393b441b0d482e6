/**
 * The status page: one document that needs nothing else, put together from `page.html`, `page.css` and
 * `page.js`.
 *
 * The charts and the picture are plain SVG, which `page.js` makes. A chart library, such as uPlot with
 * 50 kB, draws on a canvas: colours of a dark screen or of high contrast, and another width, would need
 * code of ours again, and 300 points need no canvas.
 *
 * @module
 */

import { createHash } from "node:crypto";
import script from "./page.js" with { type: "text" };
import style from "./page.css" with { type: "text" };
import template from "./page.html" with { type: "text" };
import type { HttpReply } from "./http_server.ts";

// A function as replacement: in a text, "$" has a meaning.
const DOCUMENT = template.replace("/* page.css */", () => style)
  .replace("/* page.js */", () => script);

/** Returns how a policy names what stands inside the only element of this name. */
function hashOf(element: "script" | "style"): string {
  const [begin, end] = [`<${element}>`, `</${element}>`].map((tag) => DOCUMENT.indexOf(tag));
  const content = DOCUMENT.slice((begin ?? 0) + element.length + 2, end);
  return `'sha256-${createHash("sha256").update(content).digest("base64")}'`;
}

/** Nothing but the page's own script and style, and events of the node that it comes from. */
const POLICY = [
  "default-src 'none'",
  `script-src ${hashOf("script")}`,
  `style-src ${hashOf("style")}`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** What the server answers for the page. */
export const PAGE: HttpReply = {
  status: 200,
  type: "text/html; charset=utf-8",
  headers: {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
  },
  body: DOCUMENT,
};
