/**
 * A headless Chromium, driven over its own protocol.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import { isInstalled } from "./processes.ts";

/** Time for the browser to start, and for each of its answers, in milliseconds. */
const PATIENCE_MS = 30_000;

/** Whether the tests of pages can run here. */
export const HAS_BROWSER = isInstalled("chromium");

/** What a page is shown in. */
export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly isDark?: boolean;
  /** As many dots for each pixel as a phone has. */
  readonly scale?: number;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** A browser process with one page. */
export class Browser {
  /** What the page has complained of: failed loads, broken rules, uncaught errors. */
  readonly complaints: string[] = [];
  /** Every address that the page has asked for. */
  readonly requested: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #folder: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Message>>();
  #lastId = 0;

  private constructor(process: Deno.ChildProcess, folder: string, socket: WebSocket) {
    this.#process = process;
    this.#folder = folder;
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(String(data)));
  }

  /** Starts the browser. */
  static async start(): Promise<Browser> {
    const folder = await Deno.makeTempDir({ prefix: "dks-browser-" });
    const process = new Deno.Command("chromium", {
      args: [
        "--headless=new",
        "--no-sandbox", // Root may run it, too.
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        `--user-data-dir=${folder}`,
        "about:blank",
      ],
      env: { HOME: folder },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const port = await deadline(portIn(`${folder}/DevToolsActivePort`), PATIENCE_MS);
    const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
    const page = targets.find((one: { type: string }) => one.type === "page");
    const socket = new WebSocket(page.webSocketDebuggerUrl);
    const opened = Promise.withResolvers<void>();
    socket.onopen = () => opened.resolve();
    socket.onerror = () => opened.reject(new Error("the browser refuses a connection"));
    await deadline(opened.promise, PATIENCE_MS);
    const browser = new Browser(process, folder, socket);
    for (const domain of ["Page", "Runtime", "Log", "Network", "Accessibility"]) {
      await browser.send(`${domain}.enable`);
    }
    return browser;
  }

  /** Sends one command of the browser's protocol, and returns its result. */
  async send(
    method: string,
    params: Readonly<Record<string, unknown>> = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<Message>();
    this.#waiting.set(id, answer);
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await deadline(answer.promise, PATIENCE_MS);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  #receive({ id, method, params = {}, result, error }: Message): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.resolve({ ...result && { result }, ...error && { error } });
      this.#waiting.delete(id);
      return;
    }
    const text = JSON.stringify(params);
    if (method === "Log.entryAdded" || method === "Runtime.exceptionThrown") {
      this.complaints.push(text);
    }
    const request = params["request"] as { readonly url: string } | undefined;
    if (method === "Network.requestWillBeSent" && request !== undefined) {
      this.requested.push(request.url);
    }
  }

  /** Shows the page as on such a screen. */
  async setScreen({ width, height, isDark = false, scale = 1 }: Screen): Promise<void> {
    await this.send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: scale,
      mobile: false,
    });
    const value = isDark ? "dark" : "light";
    const features = [{ name: "prefers-color-scheme", value }];
    await this.send("Emulation.setEmulatedMedia", { features });
  }

  async open(url: string): Promise<void> {
    await this.send("Page.navigate", { url });
  }

  /** Returns what `expression` gives in the page, as JSON. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    }) as { result: { value: Value }; exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  /** Returns the text that the page shows in an element. */
  async textOf(selector: string): Promise<string> {
    const expression = `document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`;
    return await this.evaluate<string>(expression);
  }

  /** Returns what a screen reader finds: a line for each node of the tree with a role and a name. */
  async accessibleLines(): Promise<string[]> {
    interface Value {
      readonly value?: string;
    }
    const { nodes } = await this.send("Accessibility.getFullAXTree") as {
      nodes: readonly { readonly ignored: boolean; readonly role?: Value; readonly name?: Value }[];
    };
    return nodes.filter(({ ignored }) => !ignored)
      .map(({ role, name }) => `${role?.value ?? ""} ${name?.value ?? ""}`.trim());
  }

  /** Returns the whole page on this screen as a PNG. */
  async screenshot(screen: Screen): Promise<Uint8Array> {
    const height = await this.evaluate<number>("document.documentElement.scrollHeight");
    await this.setScreen({ ...screen, height });
    const { data } = await this.send("Page.captureScreenshot");
    return Uint8Array.from(atob(String(data)), (char) => char.charCodeAt(0));
  }

  /** Ends the browser. */
  async stop(): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#socket.onclose = () => closed.resolve();
    this.#socket.close();
    await closed.promise;
    this.#process.kill();
    await this.#process.status;
    await removeWhole(this.#folder);
  }
}

/** Removes a folder that processes of the browser, which outlive it for a moment, may still write to. */
async function removeWhole(folder: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (attempt === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Returns the port that the browser has written to a file, once it has. */
async function portIn(path: string): Promise<string> {
  for (;;) {
    const text = await Deno.readTextFile(path).catch(() => "");
    const [port] = text.split("\n");
    if (port !== undefined && port !== "") return port;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
