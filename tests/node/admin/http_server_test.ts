/** The HTTP server of `--http`: what it takes for a request, and its bounds. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX } from "../../../src/limits.ts";
import {
  type HttpReply,
  HttpServer,
  parseHead,
  readHead,
} from "../../../src/node/admin/http_server.ts";
import { StatusServer } from "../../../src/node/admin/status_server.ts";
import { until } from "../../harness/processes.ts";
import { liveState } from "./live_state.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };

function fail(error: unknown): void {
  throw error;
}

/** Sends bytes to a port, and returns all that comes until the other end closes the connection. */
async function talk(port: number, text: string): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    return await new Response(conn.readable).text();
  } catch (error) {
    return String(error);
  }
}

Deno.test("parseHead() reads a request, and says what is wrong with anything else", () => {
  const table: [head: string, result: string][] = [
    ["GET /metrics HTTP/1.1\r\nHost: n1:9000", "GET /metrics n1"],
    ["HEAD /metrics?a=b HTTP/1.1\r\nhost: N1", "HEAD /metrics n1"],
    ["GET / HTTP/1.0", "GET / "],
    ["GET / HTTP/1.1\r\nHost: [::1]:80\r\nX-A:  b ", "GET / [::1]"],
    ["OPTIONS * HTTP/1.1\r\nHost:", "OPTIONS * "],
    ["GET / HTTP/1.1", "400 there is no Host header\n"],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b", "400 there are two Host headers\n"],
    ["GET / HTTP/1.1\r\nHost: a/b", "400 the Host header is no host\n"],
    ["GET / HTTP/1.1\r\nHost: a@b", "400 the Host header is no host\n"],
    ["GET / HTTP/1.1\r\nHost: a\r\n folded", "400 a header is no name and value\n"],
    ["GET / HTTP/2.0\r\nHost: a", "400 this is no HTTP/1 request\n"],
    ["GET http://a/ HTTP/1.1\r\nHost: a", "400 this is no HTTP/1 request\n"],
    ["GET  / HTTP/1.1\r\nHost: a", "400 this is no HTTP/1 request\n"],
    ["*1", "400 this is no HTTP/1 request\n"],
    ["", "400 this is no HTTP/1 request\n"],
  ];
  const results = table.map(([head]) => {
    const parsed = parseHead(head);
    return "status" in parsed
      ? `${parsed.status} ${parsed.body}`
      : `${parsed.method} ${parsed.path} ${parsed.host}`;
  });
  assertEquals(results, table.map(([, result]) => result));
});

Deno.test("readHead() finds the end of a head wherever it is cut", async () => {
  const bytes = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody");
  for (let size = 1; size <= bytes.length; size++) {
    let at = 0;
    const read = (space: Uint8Array) => {
      const part = bytes.subarray(at, at + size);
      space.set(part);
      at += part.length;
      return Promise.resolve(part.length === 0 ? null : part.length);
    };
    assertEquals(await readHead({ read }), "GET / HTTP/1.1\r\nHost: a", `${size} bytes at a time`);
  }
});

Deno.test("readHead() gives a client that sends a byte now and then no more time than others", async () => {
  let reads = 0;
  const read = async (space: Uint8Array) => {
    reads++;
    await new Promise((resolve) => setTimeout(resolve, 10));
    space[0] = 65;
    return 1;
  };
  const head = await readHead({ read }, 200);
  assert(typeof head === "object");
  assertEquals(head.status, 408);
  assert(reads <= 200 / 10 + 1, `${reads} bytes, 10 ms each`);
});

Deno.test("HttpServer answers a request, and closes the connection", async () => {
  const reply: HttpReply = { status: 200, body: "grüezi\n" };
  const server = new HttpServer({ address: LOCAL, handle: () => reply, onError: fail });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  const text = await new Response(conn.readable).text();
  assertMatch(text, /^HTTP\/1\.1 200 OK\r\n/);
  assertMatch(text, /\r\nContent-Length: 8\r\n\r\ngrüezi\n$/);
  assertMatch(text, /\r\nConnection: close\r\n/);
  assertMatch(await talk(server.port, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), /: 8\r\n\r\n$/);
  server.close();
});

Deno.test("HttpServer answers 500 when its handler fails, and tells of the error", async () => {
  const errors: unknown[] = [];
  const server = new HttpServer({
    address: LOCAL,
    handle: () => {
      throw new Error("an accident");
    },
    onError: (error) => errors.push(error),
  });
  assertMatch(await talk(server.port, "GET / HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 500 /);
  assertEquals(errors.map(String), ["Error: an accident"]);
  server.close();
});

Deno.test("HttpServer refuses a head without an end, and other bytes", async () => {
  const server = new HttpServer({
    address: LOCAL,
    handle: () => ({ status: 200, body: "" }),
    onError: fail,
  });
  const long = `GET / HTTP/1.1\r\nHost: ${"a".repeat(HTTP_HEAD_BYTES_MAX)}`;
  assertMatch(await talk(server.port, long), /^HTTP\/1\.1 431 /);
  assertMatch(await talk(server.port, "\0\r\n\r\n"), /^HTTP\/1\.1 400 /);
  assertMatch(await talk(server.port, "*1\r\n$4\r\nPING\r\n\r\n"), /^HTTP\/1\.1 400 /);
  await until("all connections are closed", () => server.connections === 0);
  server.close();
});

Deno.test("HttpServer serves so many connections at a time, and no more", async () => {
  const server = new HttpServer({
    address: LOCAL,
    handle: () => ({ status: 200, body: "" }),
    onError: fail,
  });
  const idle = await Promise.all(
    Array.from(
      { length: HTTP_CONNECTIONS_MAX },
      () => Deno.connect({ ...LOCAL, port: server.port }),
    ),
  );
  await until("all are there", () => server.connections === HTTP_CONNECTIONS_MAX);
  assertMatch(await talk(server.port, ""), /^HTTP\/1\.1 503 .*too many connections/s);
  for (const conn of idle) conn.close();
  await until("there is room again", () => server.connections === 0);
  assertMatch(await talk(server.port, "GET / HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 /);
  server.close();
});

Deno.test("HttpServer cuts off a client that does not read what it is sent", async () => {
  const server = new HttpServer({
    address: LOCAL,
    handle: () => ({
      type: "text/plain",
      onOpen: (stream) => {
        const timer = setInterval(() => stream.send("x".repeat(1024 * 1024)), 5);
        return () => clearInterval(timer);
      },
    }),
    onError: fail,
  });
  const conn = await Deno.connect({ ...LOCAL, port: server.port });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
  await until("it is there", () => server.connections === 1);
  await until("it is cut off", () => server.connections === 0);
  conn.close();
  server.close();
});

Deno.test("StatusServer answers each path, and says why not otherwise", async () => {
  const server = new StatusServer({ address: LOCAL, names: ["n1"] }, fail);
  const ask = async (line: string, host = "n1:80") => {
    const text = await talk(server.port, `${line} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const [, status, body] = /^HTTP\/1\.1 (\d+) .*\r\n\r\n(.*)$/s.exec(text) ?? [];
    return `${status} ${body?.trim()}`;
  };
  assertEquals(await ask("GET /healthz"), "200 alive");
  const reading = "this node is starting: it is reading its journal";
  assertEquals(await ask("GET /readyz"), `503 not ready: ${reading}`);
  assertEquals(await ask("GET /metrics"), `503 ${reading}`);
  let why: string | undefined = "no lease";
  server.serve({
    get whyNotReady() {
      return why;
    },
    metrics: () => "a 1\n",
    paceCounts: { requests: 0, commits: 0, failures: 0, writeMs: undefined },
    liveState: () => liveState(),
  });
  assertMatch(await ask("GET /"), /^200 <!DOCTYPE html>/);
  const foreign = "/events HTTP/1.1\r\nHost: n1\r\nSec-Fetch-Site: cross-site\r\n\r\n";
  assertMatch(await talk(server.port, `GET ${foreign}`), /^HTTP\/1\.1 403 /);
  assertEquals(await ask("GET /readyz"), "503 not ready: no lease");
  why = undefined;
  assertEquals(await ask("GET /readyz"), "200 ready");
  assertEquals(await ask("GET /metrics?x"), "200 a 1");
  assertMatch(await ask("GET /other"), /^404 there is nothing at this path/);
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"]) {
    assertMatch(await ask(`${method} /metrics`), /^405 /);
  }
  for (const host of ["localhost", "127.0.0.1:99", "10.1.2.3", "[::1]:80", "N1.", "n1"]) {
    assertEquals(await ask("GET /healthz", host), "200 alive", host);
  }
  for (const host of ["evil.example", "n1.evil.example", "127.0.0.1.evil.example", "1.2.3"]) {
    assertMatch(await ask("GET /metrics", host), /^421 this node does not know itself/, host);
  }
  const allowed = await talk(
    server.port,
    "PUT / HTTP/1.1\r\nHost: n1\r\n\r\nbody that is not read",
  );
  assert(allowed.includes("\r\nAllow: GET, HEAD\r\n"), allowed);
  server.close();
});
