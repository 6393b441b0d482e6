/** TLS at a listener: what is read of a client before it is verified. */

import { assertEquals, assertRejects } from "@std/assert";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { TlsError } from "../src/errors.ts";
import type { Socket } from "../src/socket.ts";
import { withTls } from "../src/tls.ts";
import { Authority, type Certificate } from "./harness/certificates.ts";
import { isInstalled } from "./harness/processes.ts";

const COMMAND = "*1\r\n$4\r\nPING\r\n";

/** Two ends of a connection: what one side writes is queued for the other to read. */
class Queue {
  readonly #chunks: Uint8Array[] = [];
  #wake: (() => void) | undefined;
  #hasEnded = false;

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes.slice());
    this.#wake?.();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake?.();
  }

  async next(): Promise<Uint8Array | undefined> {
    while (this.#chunks.length === 0 && !this.#hasEnded) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.#chunks.shift();
  }
}

/** The server's end of a connection. */
function serverEnd(received: Queue, sent: Queue): Socket {
  let rest = new Uint8Array();
  return {
    async read(space) {
      if (rest.length === 0) {
        const bytes = await received.next();
        if (bytes === undefined) return null;
        rest = new Uint8Array(bytes);
      }
      const count = Math.min(space.length, rest.length);
      space.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      return count;
    },
    write(bytes) {
      sent.push(bytes);
      return bytes.length;
    },
    close() {
      received.end();
      sent.end();
    },
  };
}

/**
 * Begins a connection with a client that sends the end of its handshake and {@linkcode COMMAND} in one
 * piece. Returns the server's end.
 */
async function inOnePiece(
  { authority, server, client }: { authority: Authority; server: Certificate; client: Certificate },
): Promise<{ socket: Socket; refusals: string[] }> {
  const [up, down] = [new Queue(), new Queue()];
  const refusals: string[] = [];
  const listener = withTls(
    {
      port: 0,
      accept: () => Promise.resolve(serverEnd(up, down)),
      close: () => {},
      unref: () => {},
    },
    {
      keys: { ...server, ca: authority.ca },
      demandsCertificates: true,
      allowsPlain: false,
      onRefused: (_from, reason) => refusals.push(reason),
    },
  );
  const socket = await listener.accept();
  let held: Uint8Array[] | undefined;
  const stream = new Duplex({
    read() {
      down.next().then((bytes) => stream.push(bytes ?? null));
    },
    write(bytes: Uint8Array, _encoding, done) {
      if (held === undefined) up.push(bytes);
      else held.push(bytes.slice());
      held ??= [];
      done();
    },
  });
  const { cert, key } = client;
  const secure = tls.connect({
    socket: stream,
    servername: "localhost",
    ca: authority.ca,
    cert,
    key,
    minVersion: "TLSv1.3",
  });
  secure.on("error", () => {});
  stream.on("error", () => {});
  secure.once("secureConnect", () => {
    secure.write(COMMAND, () => {
      const length = (held ?? []).reduce((sum, bytes) => sum + bytes.length, 0);
      const whole = new Uint8Array(length);
      let at = 0;
      for (const bytes of held ?? []) {
        whole.set(bytes, at);
        at += bytes.length;
      }
      up.push(whole);
    });
  });
  return { socket, refusals };
}

Deno.test({
  name: "a listener hands out nothing of a client whose certificate is not verified",
  ignore: !isInstalled("openssl"),
  fn: async () => {
    const authority = await Authority.create("ours");
    const another = await Authority.create("another");
    try {
      const server = await authority.issue(["DNS:localhost"]);
      const space = new Uint8Array(100);
      const client = await authority.issue(["DNS:client"]);
      const { socket } = await inOnePiece({ authority, server, client });
      const count = await socket.read(space);
      assertEquals(new TextDecoder().decode(space.subarray(0, count ?? 0)), COMMAND);
      socket.close();

      const foreigner = await another.issue(["DNS:client"]);
      const foreign = await inOnePiece({ authority, server, client: foreigner });
      const reason = "its certificate is of no authority that is trusted here";
      await assertRejects(() => foreign.socket.read(space), TlsError, reason);
      assertEquals(foreign.refusals, [reason]);
      foreign.socket.close();
    } finally {
      await authority.remove();
      await another.remove();
    }
  },
});
