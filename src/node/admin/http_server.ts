/**
 * A small HTTP server: GET and HEAD, one request a connection, everything bounded.
 *
 * Why not `Deno.serve`: it accepts connections without a bound and waits for a request's head for as
 * long as it takes. Files of the process that are lost to such connections are lost to the clients and
 * the other nodes.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import { type Address, formatAddress } from "../../address.ts";
import { fromBytes } from "../../byte_string.ts";
import { now } from "../../clock.ts";
import { FatalError, messageOf } from "../../errors.ts";

import { HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_TIMEOUT_MS } from "../../limits.ts";
import {
  acceptAll,
  closeQuietly,
  isPortInUse,
  listen,
  type Listener,
  type Socket,
  writeAll,
} from "../../socket.ts";

/** A request whose head has arrived. */
export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** The host that the client has asked for, in lower case and without the port; `""` for none. */
  readonly host: string;
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, string>;
}

/** The answer to a request. */
export interface HttpReply {
  readonly status: number;
  /** `text/plain` if not given. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An answer that goes on until one of the two closes the connection. */
export interface HttpStreamReply {
  readonly type: string;
  /** Gets what is written to, and returns what is to be done when the connection is closed. */
  readonly onOpen: (stream: HttpStream) => () => void;
}

/** Answers requests. */
export type HttpHandler = (request: HttpRequest) => HttpReply | HttpStreamReply;

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  421: "Misdirected Request",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** What is read of a client that has its answer, until it closes the connection. */
const LINGER_BYTES_MAX = 64 * 1024;
const LINGER_MS = 1000;

const ENCODER = new TextEncoder();

/** The bytes of one answer that goes on. A client that does not read is cut off. */
export class HttpStream {
  readonly #socket: Socket;
  #writingSince: number | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Sends `text`, unless the client has still to read the one before: then this one is left out. */
  send(text: string): void {
    if (this.#writingSince !== undefined) {
      if (now() - this.#writingSince > HTTP_TIMEOUT_MS) this.close();
      return;
    }
    this.#writingSince = now();
    writeAll(this.#socket, ENCODER.encode(text)).then(
      () => this.#writingSince = undefined,
      () => this.close(),
    );
  }

  close(): void {
    closeQuietly(this.#socket);
  }
}

/** Accepts connections and answers one request on each. */
export class HttpServer {
  readonly #listener: Listener;
  readonly #handle: HttpHandler;
  readonly #onError: (error: unknown) => void;
  readonly #sockets = new Set<Socket>();

  /**
   * Takes the port.
   *
   * @param options `onError` is told of a handler that fails; the client gets status 500
   * @throws {FatalError} if it cannot listen at `address`.
   */
  constructor(
    options: { address: Address; handle: HttpHandler; onError: (error: unknown) => void },
  ) {
    this.#listener = open(options.address);
    this.#handle = options.handle;
    this.#onError = options.onError;
    acceptAll(this.#listener, { onSocket: (socket) => this.#accept(socket) });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Accepts no more, and closes all connections. */
  close(): void {
    closeQuietly(this.#listener);
    for (const socket of this.#sockets) closeQuietly(socket);
  }

  #accept(socket: Socket): "full" | undefined {
    if (this.#sockets.size >= HTTP_CONNECTIONS_MAX) {
      const reply = { status: 503, body: "there are too many connections at this port\n" };
      writeAll(socket, bytesOf(reply, "GET")).catch(() => {}).finally(() => closeQuietly(socket));
      return "full";
    }
    this.#sockets.add(socket);
    this.#serve(socket)
      .catch(() => {}) // The client is gone, or was too slow.
      .finally(() => {
        closeQuietly(socket);
        this.#sockets.delete(socket);
      });
    return undefined;
  }

  async #serve(socket: Socket): Promise<void> {
    const head = await readHead(socket);
    const request = typeof head === "string" ? parseHead(head) : head;
    if (request === undefined) return;
    const reply = "status" in request ? request : this.#answer(request);
    const method = "method" in request ? request.method : "GET";
    if ("status" in reply) {
      await deadline(writeAll(socket, bytesOf(reply, method)), HTTP_TIMEOUT_MS);
      await linger(socket);
      return;
    }
    await deadline(writeAll(socket, headOf(200, reply.type)), HTTP_TIMEOUT_MS);
    if (method === "HEAD") return;
    const onClosed = reply.onOpen(new HttpStream(socket));
    try {
      await drain(socket);
    } finally {
      onClosed();
    }
  }

  #answer(request: HttpRequest): HttpReply | HttpStreamReply {
    try {
      return this.#handle(request);
    } catch (error) {
      this.#onError(error);
      return { status: 500, body: "this node has failed to answer: its log says more\n" };
    }
  }
}

function open(address: Address): Listener {
  try {
    return listen(address);
  } catch (error) {
    const why = isPortInUse(error) ? "the port is in use" : messageOf(error);
    throw new FatalError(`cannot listen on ${formatAddress(address)} (--http): ${why}`);
  }
}

/** Returns the head of a request, or what is wrong with it; `undefined` if the client has hung up. */
export async function readHead(
  socket: Pick<Socket, "read">,
  timeoutMs = HTTP_TIMEOUT_MS,
): Promise<string | HttpReply | undefined> {
  const bytes = new Uint8Array(HTTP_HEAD_BYTES_MAX);
  const endAt = now() + timeoutMs;
  let length = 0;
  while (length < bytes.length) {
    let count: number | null;
    try {
      count = await deadline(socket.read(bytes.subarray(length)), Math.max(1, endAt - now()));
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      return { status: 408, body: "the head of the request has not come in time\n" };
    }
    if (count === null) return undefined;
    // An end of the head may be split over two reads.
    const from = Math.max(0, length - 3);
    length += count;
    const end = fromBytes(bytes.subarray(from, length)).indexOf("\r\n\r\n");
    if (end >= 0) return fromBytes(bytes.subarray(0, from + end));
  }
  const body = `the head of a request has ${HTTP_HEAD_BYTES_MAX} bytes at the most\n`;
  return { status: 431, body };
}

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\/[!-~]*|\*) HTTP\/1\.([01])$/;
const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;
const HOST = /^(\[[0-9a-f:.%]+\]|[^\s:[\]/?#@]*)(?::\d{0,5})?$/;

/** Returns the request that `head` is, or the answer to what is none. */
export function parseHead(head: string): HttpRequest | HttpReply {
  const [first = "", ...lines] = head.split("\r\n");
  const [, method, target, minor] = REQUEST_LINE.exec(first) ?? [];
  if (method === undefined || target === undefined) return bad("this is no HTTP/1 request");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = HEADER_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) return bad("a header is no name and value");
    const key = name.toLowerCase();
    if (key === "host" && headers.has(key)) return bad("there are two Host headers");
    headers.set(key, value);
  }
  const host = headers.get("host");
  if (host === undefined && minor === "1") return bad("there is no Host header");
  const name = HOST.exec((host ?? "").toLowerCase())?.[1];
  if (name === undefined) return bad("the Host header is no host");
  const [path = ""] = target.split("?");
  return { method, path, host: name, headers };
}

function bad(why: string): HttpReply {
  return { status: 400, body: `${why}\n` };
}

const PLAIN = "text/plain; charset=utf-8";

/** What every answer says: keep no copy, and take it for what it says it is. */
const COMMON: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Connection": "close",
};

function headOf(
  status: number,
  type: string,
  headers: Readonly<Record<string, string>> = {},
): Uint8Array {
  const all = {
    "Date": new Date().toUTCString(),
    "Content-Type": type,
    ...COMMON,
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return ENCODER.encode(`HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n${lines.join("")}\r\n`);
}

function bytesOf({ status, type = PLAIN, headers, body }: HttpReply, method: string): Uint8Array {
  const content = ENCODER.encode(body);
  const head = headOf(status, type, { ...headers, "Content-Length": String(content.length) });
  if (method === "HEAD") return head;
  const whole = new Uint8Array(head.length + content.length);
  whole.set(head);
  whole.set(content, head.length);
  return whole;
}

/**
 * Reads until the client closes the connection: if there were unread bytes when this end closes it, the
 * client might lose the answer.
 */
async function linger(socket: Socket): Promise<void> {
  await socket.closeWrite?.();
  await deadline(drain(socket, LINGER_BYTES_MAX), LINGER_MS);
}

/** Reads and drops what comes, up to so many bytes, or until the end. */
async function drain(socket: Socket, bytesMax = Infinity): Promise<void> {
  const space = new Uint8Array(1024);
  for (let bytes = 0; bytes < bytesMax;) {
    const count = await socket.read(space);
    if (count === null) return;
    bytes += count;
  }
}
