/**
 * TLS over sockets: the side that accepts, where the first byte of a connection tells whether it is TLS,
 * and the side that connects, which verifies whom it has reached.
 *
 * The runtime's own listeners for TLS take a port for themselves, know no client certificates, and keep
 * the certificate that they began with. Its `node:tls` speaks TLS over any stream, so that one port serves
 * both, and each connection gets the certificate of the moment. It is loaded when it is needed first.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { type Address, formatAddress } from "./address.ts";
import { now } from "./clock.ts";
import { NoTlsError, TlsError } from "./errors.ts";
import {
  closeQuietly,
  connect,
  isDisconnect,
  type Listener,
  type Socket,
  writeAll,
} from "./socket.ts";

/** What a side shows, and whom it believes. All are PEM texts. */
export interface TlsKeys {
  /** The certificate, and those between it and the authority. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The authorities; without them the runtime's list of public ones. */
  readonly ca?: string | undefined;
}

/** How a listener speaks TLS. */
export interface TlsServer {
  /** Read again for each connection. */
  readonly keys: TlsKeys;
  /** Only who shows a certificate of one of the authorities is let in. */
  readonly demandsCertificates: boolean;
  /** A connection that does not begin with TLS is served too. */
  readonly allowsPlain: boolean;
  /** A connection was refused, or broke for what came on it. */
  onRefused(from: Address | undefined, reason: string): void;
}

/** A handshake takes at most this long, and the first byte if only TLS is let in, in milliseconds. */
const HANDSHAKE_MS = 10_000;

/** Whoever does not take in the last bytes in this time does not get them, in milliseconds. */
const LAST_BYTES_MS = 500;

/** Bytes that are read at a time, and that wait to be read. */
const READ_BYTES = 16 * 1024;
const WAITING_BYTES_MAX = 64 * 1024;

/** The first byte of a TLS connection: a record of the handshake. No command begins with it. */
const FIRST_BYTE = 0x16;

/** What is said to who does not speak TLS. */
const TLS_ONLY = "-ERR this node speaks TLS only\r\n";

/** Returns a listener whose connections are TLS if they begin with it. */
export function withTls(listener: Listener, tls: TlsServer): Listener {
  return {
    port: listener.port,
    accept: async () => new DoorSocket(await listener.accept(), tls),
    close: () => listener.close(),
    unref: () => listener.unref(),
  };
}

/**
 * Connects to `address`, speaks TLS, and verifies that the certificate there is of an authority of
 * `keys`, valid now, and for the host of `address`.
 *
 * @throws {TlsError} if it is not, or no TLS is spoken there.
 * @throws {UnknownHostError} if the name has no address now.
 * @throws {Error} if nobody takes the connection within `timeoutMs`.
 */
export async function connectTls(
  address: Address,
  timeoutMs: number,
  keys: TlsKeys,
): Promise<Socket> {
  const endAt = now() + timeoutMs;
  const raw = await connect(address, timeoutMs);
  try {
    return await shake(raw, { address, keys, timeoutMs: Math.max(1, endAt - now()) });
  } catch (error) {
    closeQuietly(raw);
    throw error;
  }
}

async function shake(
  raw: Socket,
  { address, keys, timeoutMs }: { address: Address; keys: TlsKeys; timeoutMs: number },
): Promise<Socket> {
  const tls = await import("node:tls");
  const { hostname } = address;
  const stream = tls.connect({
    socket: await streamOver(raw),
    // An address is no name to ask for; it is verified all the same.
    ...isIp(hostname) ? { host: hostname } : { host: hostname, servername: hostname },
    ...given(keys),
    rejectUnauthorized: true,
  });
  const socket = new TlsSocket(stream, raw, formatAddress(address));
  await socket.shaken("secureConnect", timeoutMs);
  return socket;
}

function isIp(hostname: string): boolean {
  return hostname.includes(":") || /^[\d.]+$/.test(hostname);
}

/** Without what is not there: that would be another setting. */
function given({ cert, key, ca }: TlsKeys): { cert?: string; key?: string; ca?: string } {
  return {
    ...cert === undefined ? {} : { cert },
    ...key === undefined ? {} : { key },
    ...ca === undefined ? {} : { ca },
  };
}

/** The bytes that TLS itself sends and gets. */
async function streamOver(
  raw: Socket,
  received: Uint8Array = new Uint8Array(0),
): Promise<Duplex> {
  const { Duplex } = await import("node:stream");
  let first: Uint8Array | undefined = received.length === 0 ? undefined : received;
  const stream = new Duplex({
    read() {
      if (first !== undefined) {
        const bytes = first;
        first = undefined;
        // In a later turn: the runtime breaks if what comes is no TLS before it has started with it.
        setTimeout(() => stream.push(bytes));
        return;
      }
      const space = new Uint8Array(READ_BYTES);
      raw.read(space).then(
        (count) => stream.push(count === null ? null : space.subarray(0, count)),
        (error) => stream.destroy(error),
      );
    },
    write(bytes: Uint8Array, _encoding, done) {
      writeAll(raw, bytes).then(() => done(), done);
    },
    final(done) {
      (raw.closeWrite?.() ?? Promise.resolve()).then(() => done(), () => done());
    },
    destroy(error, done) {
      closeQuietly(raw);
      done(error);
    },
  });
  stream.on("error", () => {}); // The TLS socket above it tells of it.
  return stream;
}

/** A TLS connection over another one. */
class TlsSocket implements Socket {
  readonly isEncrypted = true;
  readonly #stream: TLSSocket;
  readonly #raw: Socket;
  /** The other end, for errors; nothing if it is the one that has connected. */
  readonly #name: string;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #hasEnded = false;
  #isClosed = false;
  #isShaken = false;
  #error: Error | undefined;
  /** Called when there is something to read, or an end. */
  #wake: (() => void) | undefined;

  constructor(stream: TLSSocket, raw: Socket, name = "") {
    this.#stream = stream;
    this.#raw = raw;
    this.#name = name;
    stream.on("data", (bytes: Uint8Array) => {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
      if (this.#waitingBytes >= WAITING_BYTES_MAX) stream.pause();
      this.#wake?.();
    });
    stream.on("end", () => this.#end());
    stream.on("close", () => this.#end());
    stream.on("error", (error: Error) => this.#fail(error));
  }

  get remoteAddr(): Address | undefined {
    return this.#raw.remoteAddr;
  }

  get localAddr(): Address | undefined {
    return this.#raw.localAddr;
  }

  /** Tells whether the handshake is done. */
  get isShaken(): boolean {
    return this.#isShaken;
  }

  /**
   * Resolves when the handshake is done, which `event` says, and `check` returns no error then.
   *
   * @throws {TlsError} if it fails.
   * @throws {Error} if it takes longer than `timeoutMs`, or is cut off.
   */
  async shaken(
    event: "secure" | "secureConnect",
    timeoutMs: number,
    check: () => Error | undefined = () => undefined,
  ): Promise<void> {
    const done = Promise.withResolvers<void>();
    // One that this side dials may only be slow, or be ending: that says nothing of who it is.
    const slow = (reason: string) => this.#name === "" ? new TlsError(reason) : new Error(reason);
    const fail = () => done.reject(this.#error ?? slow("the TLS handshake was cut off"));
    const timer = setTimeout(() => {
      this.#error ??= slow(`no TLS handshake within ${Math.round(timeoutMs) / 1000} s`);
      this.#stream.destroy();
    }, timeoutMs);
    this.#stream.once(event, () => {
      const refusal = check();
      this.#isShaken = refusal === undefined;
      if (refusal === undefined) {
        this.#wake?.();
        return done.resolve();
      }
      this.#fail(refusal);
      this.#stream.destroy();
      done.reject(this.#error);
    });
    this.#stream.once("error", fail);
    this.#stream.once("close", fail);
    try {
      await done.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async read(space: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#isClosed) return null;
      const [bytes] = this.#waiting;
      // Until the handshake is done, and the certificate looked at, nobody knows whose they are.
      if (bytes !== undefined && this.#isShaken) return this.#take(bytes, space);
      if (this.#error !== undefined) throw this.#error;
      if (this.#hasEnded) return null;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
  }

  #take(bytes: Uint8Array, space: Uint8Array): number {
    const count = Math.min(bytes.length, space.length);
    space.set(bytes.subarray(0, count));
    if (count === bytes.length) this.#waiting.shift();
    else this.#waiting[0] = bytes.subarray(count);
    this.#waitingBytes -= count;
    if (this.#waitingBytes < WAITING_BYTES_MAX && this.#stream.isPaused()) this.#stream.resume();
    return count;
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const stop = () => reject(this.#error ?? new TlsError("the TLS connection was closed"));
    this.#stream.once("close", stop);
    this.#stream.write(bytes, (error) => {
      this.#stream.off("close", stop);
      if (error) reject(this.#error ?? this.#named(error));
      else resolve(bytes.length);
    });
    return promise;
  }

  async closeWrite(): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.end(resolve));
  }

  /** What is to be written leaves, and word of the end, if the other end takes it in at once. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wake?.();
    if (this.#error !== undefined || !this.#isShaken) {
      this.#stream.destroy();
      return;
    }
    const timer = setTimeout(() => this.#stream.destroy(), LAST_BYTES_MS);
    this.#stream.end(() => {
      clearTimeout(timer);
      this.#stream.destroy();
    });
  }

  #end(): void {
    this.#hasEnded = true;
    this.#wake?.();
  }

  #fail(error: Error): void {
    this.#error ??= this.#named(error);
    if (!this.#isShaken) this.#waiting.length = 0; // Of nobody knows whom.
    this.#wake?.();
  }

  /** What has happened, in words: what the other end's certificate lacks, most of all. */
  #named(error: Error): Error {
    if (error instanceof TlsError || isDisconnect(error)) return error;
    if (this.#name !== "" && error.message.includes(FOREIGN_RECORD)) {
      return new NoTlsError(`${this.#name} does not speak TLS`);
    }
    return new TlsError(reasonOf(error, this.#name));
  }
}

/** A connection whose first byte tells what it is. */
class DoorSocket implements Socket {
  readonly #raw: Socket;
  readonly #tls: TlsServer;
  #opening: Promise<Socket> | undefined;
  #opened: Socket | undefined;

  constructor(raw: Socket, tls: TlsServer) {
    this.#raw = raw;
    this.#tls = tls;
  }

  get remoteAddr(): Address | undefined {
    return this.#raw.remoteAddr;
  }

  get localAddr(): Address | undefined {
    return this.#raw.localAddr;
  }

  get isEncrypted(): boolean {
    return this.#opened?.isEncrypted === true;
  }

  async read(space: Uint8Array): Promise<number | null> {
    const socket = this.#opened ?? await (this.#opening ??= this.#open());
    return await socket.read(space);
  }

  async write(bytes: Uint8Array): Promise<number> {
    const socket = this.#opened ?? await (this.#opening ??= this.#open({ isHurried: true }));
    return await socket.write(bytes);
  }

  async closeWrite(): Promise<void> {
    const socket = this.#opened ?? await (this.#opening ??= this.#open());
    await socket.closeWrite?.();
  }

  close(): void {
    closeQuietly(this.#opened ?? this.#raw);
  }

  /** @param options `isHurried`: somebody waits to write, and must know whether it is TLS */
  async #open({ isHurried = !this.#tls.allowsPlain } = {}): Promise<Socket> {
    const space = new Uint8Array(READ_BYTES);
    const timer = isHurried ? setTimeout(() => closeQuietly(this.#raw), HANDSHAKE_MS) : undefined;
    let count: number | null;
    try {
      count = await this.#raw.read(space);
    } finally {
      clearTimeout(timer);
    }
    if (count === null) return this.#opened = this.#raw;
    const received = space.slice(0, count);
    if (received[0] === FIRST_BYTE) return this.#opened = await this.#openTls(received);
    if (this.#tls.allowsPlain) return this.#opened = new Resumed(this.#raw, received);
    this.#tls.onRefused(this.remoteAddr, "it does not speak TLS");
    await writeAll(this.#raw, new TextEncoder().encode(TLS_ONLY)).catch(() => {});
    closeQuietly(this.#raw);
    return this.#opened = this.#raw;
  }

  async #openTls(received: Uint8Array): Promise<Socket> {
    const { TLSSocket } = await import("node:tls");
    const { keys, demandsCertificates } = this.#tls;
    const stream = new TLSSocket(await streamOver(this.#raw, received), {
      isServer: true,
      ...given(keys),
      requestCert: demandsCertificates,
      rejectUnauthorized: demandsCertificates,
    });
    const socket = new TlsSocket(stream, this.#raw);
    // A record that is damaged later is the connection's own trouble.
    // The runtime asks for a certificate, and leaves it to the caller to look at what it found of it.
    const check = () => demandsCertificates ? certificateFault(stream) : undefined;
    socket.shaken("secure", HANDSHAKE_MS, check).catch((error) => {
      this.#tls.onRefused(this.remoteAddr, error instanceof Error ? error.message : String(error));
      closeQuietly(socket);
    });
    return socket;
  }
}

/** A connection of which something was read before. */
class Resumed implements Socket {
  readonly #raw: Socket;
  #received: Uint8Array | undefined;

  constructor(raw: Socket, received: Uint8Array) {
    this.#raw = raw;
    this.#received = received;
  }

  read(space: Uint8Array): Promise<number | null> {
    const received = this.#received;
    if (received === undefined) return this.#raw.read(space);
    const count = Math.min(received.length, space.length);
    space.set(received.subarray(0, count));
    this.#received = count === received.length ? undefined : received.subarray(count);
    return Promise.resolve(count);
  }

  write(bytes: Uint8Array): number | Promise<number> {
    return this.#raw.write(bytes);
  }

  async closeWrite(): Promise<void> {
    await this.#raw.closeWrite?.();
  }

  close(): void {
    this.#raw.close();
  }
}

/** Returns what is wrong with the certificate that a client has shown. What cannot be told is wrong too. */
function certificateFault(stream: TLSSocket): Error | undefined {
  const { ssl } = stream as { ssl?: { verifyError?(): unknown } | null };
  const found = ssl?.verifyError?.();
  const isThere = Object.keys(stream.getPeerCertificate()).length > 0;
  if (isThere && ssl?.verifyError !== undefined && (found === null || found === "")) {
    return undefined;
  }
  const code = found instanceof Error && "code" in found ? found.code : found;
  return Object.assign(new Error("the certificate was not verified"), { code });
}

/** By the code of the error: what is wrong with the certificate of the other end. */
const FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "has expired",
  CERT_NOT_YET_VALID: "is not valid yet",
  CERT_REVOKED: "is revoked",
  ERR_TLS_CERT_ALTNAME_INVALID: "is for another name",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "is of no authority that is trusted here",
  UNABLE_TO_GET_ISSUER_CERT: "is of no authority that is trusted here",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "is of no authority that is trusted here",
  SELF_SIGNED_CERT_IN_CHAIN: "is of no authority that is trusted here",
  DEPTH_ZERO_SELF_SIGNED_CERT: "is of no authority that is trusted here",
  CERT_SIGNATURE_FAILURE: "is of no authority that is trusted here",
};

/** In an error: what came is no record of TLS. */
const FOREIGN_RECORD = "InvalidContentType";

/** @param name the other end; nothing if it is the one that has connected */
function reasonOf(error: Error, name: string): string {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const fault = FAULTS[code];
  const whose = name === "" ? "its certificate" : `the certificate of ${name}`;
  if (fault !== undefined) return `${whose} ${fault}`;
  const { message } = error;
  if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return "it shows no certificate";
  const alert = /received fatal alert: (\w+)/.exec(message)?.[1];
  if (alert !== undefined) return `the other end refuses TLS with this one: ${alert}`;
  return `TLS failed: ${message.replace(/ \(SSL routines:.*\)$/, "")}`;
}
