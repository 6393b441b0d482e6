/**
 * The port of `--http`: metrics and health for programs that watch the node, and the status page.
 *
 * Whoever can make a browser show a page of another site could otherwise have that page ask this port
 * under a name of its own: requests for a host that this node does not know as itself are refused.
 *
 * @module
 */

import type { Address } from "../../address.ts";
import { clocks } from "../../clock.ts";
import {
  type HttpHandler,
  type HttpReply,
  type HttpRequest,
  HttpServer,
  type HttpStreamReply,
} from "./http_server.ts";
import { LivePages, type LiveState } from "./live_pages.ts";
import { Pace, type PaceCounts } from "./pace.ts";
import { PAGE } from "./page.ts";
import { METRICS_TYPE } from "./prometheus.ts";

/** Where `--http` listens, and the names by which it may be asked. */
export interface HttpOptions {
  readonly address: Address;
  /** Besides IP addresses, `localhost` and the hosts of the nodes; in lower case. */
  readonly names: readonly string[];
}

/** What the port tells of. */
export interface StatusHost {
  /** Why the node is not a member with a lease; `undefined` if it is. */
  readonly whyNotReady: string | undefined;
  /** What is counted at this moment. */
  readonly paceCounts: PaceCounts;
  /** Returns the text of all metrics. */
  metrics(): string;
  /** Returns what the status page shows, but for the sample of the last second. */
  liveState(): Omit<LiveState, "sample">;
}

/** How often pages are told how the node is, in milliseconds. */
const PERIOD_MS = 1000;

const STARTING = "this node is starting: it is reading its journal";

const PATHS = "there are /, /metrics, /healthz and /readyz";

/** Serves the port of `--http`. */
export class StatusServer {
  readonly #server: HttpServer;
  #names: ReadonlySet<string>;
  readonly #ownNames: readonly string[];
  readonly #pages = new LivePages();
  readonly #pace = new Pace();
  #timer: ReturnType<typeof setInterval> | undefined;
  #host: StatusHost | undefined;

  /**
   * Takes the port. Until {@linkcode serve} is called, the node is alive and not ready.
   *
   * @throws {FatalError} if it cannot listen there.
   */
  constructor({ address, names }: HttpOptions, onError: (error: unknown) => void) {
    this.#ownNames = ["localhost", address.hostname, ...names];
    this.#names = new Set(this.#ownNames);
    this.#server = new HttpServer({ address, handle: this.#handle, onError });
  }

  get port(): number {
    return this.#server.port;
  }

  get connections(): number {
    return this.#server.connections;
  }

  /** How many status pages are kept up to date. */
  get pages(): number {
    return this.#pages.size;
  }

  /** It may be asked under these host names from now on, besides its own. */
  allow(names: readonly string[]): void {
    this.#names = new Set([...this.#ownNames, ...names.map((name) => name.toLowerCase())]);
  }

  /** Tells of `host` from now on. */
  serve(host: StatusHost): void {
    this.#host = host;
    const sample = () => this.#pace.sample(host.paceCounts, clocks());
    sample();
    this.#timer = setInterval(() => {
      sample();
      this.#pages.tell(() => this.#stateOf(host));
    }, PERIOD_MS);
  }

  #stateOf(host: StatusHost): LiveState {
    return { ...host.liveState(), sample: this.#pace.samples.at(-1) ?? null };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#server.close();
  }

  readonly #handle: HttpHandler = (request) => {
    if (!this.#isOwnName(request.host)) {
      const body = `this node does not know itself as "${request.host}": ` +
        "ask for its IP address or for a host of the nodes, or name the host with --http-name\n";
      return { status: 421, body };
    }
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") {
      const body = `${method} is not for here: this port only tells, by GET and HEAD\n`;
      return { status: 405, headers: { Allow: "GET, HEAD" }, body };
    }
    return this.#answer(request);
  };

  /** A name that others control may lead here; an IP address cannot be another's. */
  #isOwnName(host: string): boolean {
    return host === "" || host.startsWith("[") || /^\d+(\.\d+){3}$/.test(host) ||
      this.#names.has(host.replace(/\.$/, ""));
  }

  #answer({ path, headers }: HttpRequest): HttpReply | HttpStreamReply {
    switch (path) {
      case "/":
        return PAGE;
      case "/events":
        if (this.#host === undefined) return { status: 503, body: `${STARTING}\n` };
        if (headers.get("sec-fetch-site") === "cross-site") {
          return { status: 403, body: "a page of another site has no place here\n" };
        }
        return this.#pages.open(this.#pace.samples, this.#stateOf(this.#host));
      case "/healthz":
        return { status: 200, body: "alive\n" };
      case "/readyz": {
        const why = this.#host === undefined ? STARTING : this.#host.whyNotReady;
        return why === undefined
          ? { status: 200, body: "ready\n" }
          : { status: 503, body: `not ready: ${why}\n` };
      }
      case "/metrics":
        return this.#host === undefined
          ? { status: 503, body: `${STARTING}\n` }
          : { status: 200, type: METRICS_TYPE, body: this.#host.metrics() };
      default:
        return { status: 404, body: `there is nothing at this path: ${PATHS}\n` };
    }
  }
}
