/**
 * The port of `--http`: metrics and health, for programs that watch the node.
 *
 * Whoever can make a browser show a page of another site could otherwise have that page ask this port
 * under a name of its own: requests for a host that this node does not know as itself are refused.
 *
 * @module
 */

import type { Address } from "../../address.ts";
import { type HttpHandler, type HttpReply, type HttpRequest, HttpServer } from "./http_server.ts";
import { METRICS_TYPE } from "./prometheus.ts";

/** Where `--http` listens, and the names by which it may be asked. */
export interface HttpOptions {
  readonly address: Address;
  /** Besides IP addresses, `localhost` and the hosts of `--peers`; in lower case. */
  readonly names: readonly string[];
}

/** What the port tells of. */
export interface StatusHost {
  /** Why the node is not a member with a lease; `undefined` if it is. */
  readonly whyNotReady: string | undefined;
  /** Returns the text of all metrics. */
  metrics(): string;
}

const STARTING = "this node is starting: it is reading its journal";

const PATHS = "there are /metrics, /healthz and /readyz";

/** Serves the port of `--http`. */
export class StatusServer {
  readonly #server: HttpServer;
  readonly #names: ReadonlySet<string>;
  #host: StatusHost | undefined;

  /**
   * Takes the port. Until {@linkcode serve} is called, the node is alive and not ready.
   *
   * @throws {FatalError} if it cannot listen there.
   */
  constructor({ address, names }: HttpOptions, onError: (error: unknown) => void) {
    this.#names = new Set(["localhost", address.hostname, ...names]);
    this.#server = new HttpServer({ address, handle: this.#handle, onError });
  }

  get port(): number {
    return this.#server.port;
  }

  get connections(): number {
    return this.#server.connections;
  }

  /** Tells of `host` from now on. */
  serve(host: StatusHost): void {
    this.#host = host;
  }

  close(): void {
    this.#server.close();
  }

  readonly #handle: HttpHandler = (request) => {
    if (!this.#isOwnName(request.host)) {
      const body = `this node does not know itself as "${request.host}": ` +
        "ask for its IP address or for a host of --peers, or name the host with --http-name\n";
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

  #answer({ path }: HttpRequest): HttpReply {
    switch (path) {
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
