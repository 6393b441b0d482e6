/**
 * Sockets that are read and written by way of the runtime's handles for `node:net`.
 *
 * A read or a write of a `Deno.TcpConn` is an operation of the runtime each time: it makes a task, and its
 * result comes as a promise in a later round. A handle calls back with what has come, without being asked
 * again, and writes at once: for a short request and a short reply that takes a third less processor time,
 * and half of the time that one client waits. What has come at several sockets is still one turn of the event
 * loop: promises go on after all of them have called back.
 *
 * The handles are internal to the runtime, so each part of them is looked for first. Where one is missing,
 * {@linkcode fasten} leaves a connection as it is. A handle has a file descriptor of its own beside that of the
 * connection, so only so many connections get one.
 *
 * @module
 */

import process from "node:process";
import type { Address } from "./address.ts";

/** The most connections that have a handle at one time: each has two file descriptors. */
const FAST_MAX = 1024;

/** Bytes that a handle reads at a time, and that wait for a reader until nothing more is read. */
const READ_BYTES = 64 * 1024;

/** A write that was handed to the system. */
interface WriteRequest {
  /** What is written must neither change nor be freed until then. */
  readonly buffer: Uint8Array;
  /** Called only if the system did not take all of it at once. */
  oncomplete(status: number): void;
}

/** What is used of a handle. Numbers that it returns are 0, or a negative code of an error. */
interface Handle {
  /** Called when something has come: how much, the state says. */
  onread: () => void;
  /** Takes the connection that has this number in the runtime's table, with a descriptor of its own. */
  openFromRid(resource: number): number;
  /** What comes is read into `space`. */
  useUserBuffer(space: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  close(): void;
}

/** The runtime's handles, and the state that they share. */
interface Handles {
  readonly TCP: new (type: number) => Handle;
  readonly state: Int32Array;
  /** Where in the state it says how many bytes were read, or a negative code of an error. */
  readonly readAt: number;
  /** Where in the state it says whether the last write goes on in the background. */
  readonly isAsyncAt: number;
  /** Returns the name of the error with this code, such as `ECONNRESET`. */
  readonly nameOf: (code: number) => string;
}

/** The type of a handle that is a connection. */
const CONNECTION = 0;

const METHODS = ["openFromRid", "useUserBuffer", "readStart", "readStop", "writeBuffer", "close"];

/** Returns the runtime's handles; `undefined` if it has none of this kind. */
function findHandles(): Handles | undefined {
  const { binding } = process as unknown as { binding?: (name: string) => unknown };
  if (binding === undefined) return undefined;
  try {
    const { TCP } = binding("tcp_wrap") as { TCP?: Handles["TCP"] };
    const stream = binding("stream_wrap") as Readonly<Record<string, unknown>>;
    const { errname } = binding("uv") as { errname?: Handles["nameOf"] };
    const { streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = stream;
    const hasAll = typeof TCP === "function" && typeof errname === "function" &&
      streamBaseState instanceof Int32Array && typeof kReadBytesOrError === "number" &&
      typeof kLastWriteWasAsync === "number" && METHODS.every((name) => name in TCP.prototype);
    if (!hasAll) return undefined;
    return {
      TCP,
      state: streamBaseState,
      readAt: kReadBytesOrError,
      isAsyncAt: kLastWriteWasAsync,
      nameOf: errname,
    };
  } catch {
    return undefined; // Another runtime, or another version of it.
  }
}

const HANDLES = findHandles();

/** What came last at any of the sockets, until its callback returns. */
const received = new Uint8Array(HANDLES === undefined ? 0 : READ_BYTES);

let openCount = 0;

/** Returns a faster socket for `conn`, or `conn` itself if there is none. It must not have been read from. */
export function fasten(conn: Deno.TcpConn): FastSocket | Deno.TcpConn {
  if (HANDLES === undefined || openCount >= FAST_MAX) return conn;
  const resource = resourceOf(conn);
  if (resource === undefined) return conn;
  const handle = new HANDLES.TCP(CONNECTION);
  if (handle.openFromRid(resource) === 0) return new FastSocket(conn, handle, HANDLES);
  handle.close(); // Most likely there is no file descriptor left.
  return conn;
}

/** Returns the number of `conn` in the runtime's table. */
function resourceOf(conn: Deno.TcpConn): number | undefined {
  for (const symbol of Object.getOwnPropertySymbols(conn)) {
    if (symbol.description !== "Deno.internal.rid") continue;
    const { value }: { value?: unknown } = Object.getOwnPropertyDescriptor(conn, symbol) ?? {};
    return typeof value === "number" ? value : undefined;
  }
  return undefined;
}

/** A connection that is read and written through a handle. One read and one write are under way at a time. */
export class FastSocket {
  readonly #conn: Deno.TcpConn;
  readonly #handle: Handle;
  readonly #handles: Handles;
  /** Where the read under way wants its bytes. */
  #space: Uint8Array | undefined;
  #onRead: PromiseWithResolvers<number | null> | undefined;
  #onWritten: PromiseWithResolvers<number> | undefined;
  /** What has come while nobody was reading. */
  #waiting: Uint8Array | undefined;
  #isReading = false;
  #isClosed = false;
  /** Nothing more comes: the other end has closed its side, or the connection has failed. */
  #end: "closed" | Error | undefined;

  constructor(conn: Deno.TcpConn, handle: Handle, handles: Handles) {
    this.#conn = conn;
    this.#handle = handle;
    this.#handles = handles;
    handle.useUserBuffer(received);
    handle.onread = () => this.#take(handles.state[handles.readAt] ?? 0);
    openCount++;
  }

  get remoteAddr(): Address {
    return this.#conn.remoteAddr;
  }

  get localAddr(): Address {
    return this.#conn.localAddr;
  }

  /** Returns how many bytes were put into `space`; `null` at the end. */
  read(space: Uint8Array): Promise<number | null> {
    if (this.#isClosed) return Promise.reject(new Deno.errors.BadResource(CLOSED));
    if (this.#waiting !== undefined) return Promise.resolve(this.#takeWaiting(space));
    if (this.#end === "closed") return Promise.resolve(null);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    this.#space = space;
    this.#onRead = Promise.withResolvers();
    if (!this.#isReading) {
      this.#isReading = true;
      this.#handle.readStart();
    }
    return this.#onRead.promise;
  }

  #takeWaiting(space: Uint8Array): number {
    const waiting = this.#waiting ?? received.subarray(0, 0);
    const count = Math.min(waiting.length, space.length);
    space.set(count === waiting.length ? waiting : waiting.subarray(0, count));
    this.#waiting = count === waiting.length ? undefined : waiting.subarray(count);
    return count;
  }

  /** The handle has called back: `count` bytes have come, or it is the code of an error. */
  #take(count: number): void {
    if (this.#isClosed || count === 0) return;
    const onRead = this.#onRead;
    const space = this.#space;
    this.#onRead = undefined;
    this.#space = undefined;
    if (count < 0) {
      this.#isReading = false;
      const name = this.#handles.nameOf(count);
      this.#end = name === "EOF" ? "closed" : errorOf(name);
      if (this.#end === "closed") onRead?.resolve(null);
      else onRead?.reject(this.#end);
      return;
    }
    const bytes = received.subarray(0, count);
    if (onRead === undefined || space === undefined) this.#keep(bytes);
    else if (count <= space.length) {
      space.set(bytes);
      onRead.resolve(count);
    } else {
      space.set(bytes.subarray(0, space.length));
      onRead.resolve(space.length);
      this.#keep(bytes.subarray(space.length));
    }
  }

  /** Nobody takes these bytes now: they wait, and if they are many, nothing more is read until they are taken. */
  #keep(bytes: Uint8Array): void {
    const before = this.#waiting?.length ?? 0;
    const waiting = new Uint8Array(before + bytes.length);
    if (this.#waiting !== undefined) waiting.set(this.#waiting);
    waiting.set(bytes, before);
    this.#waiting = waiting;
    this.#isReading = false;
    this.#handle.readStop();
  }

  /** Returns how many of the bytes were taken, all of them: at once if the system has room for them. */
  write(bytes: Uint8Array): number | Promise<number> {
    if (this.#isClosed) return Promise.reject(new Deno.errors.BadResource(CLOSED));
    const request: WriteRequest = {
      buffer: bytes,
      oncomplete: (status) => this.#written(status, bytes.length),
    };
    const code = this.#handle.writeBuffer(request, bytes);
    if (code !== 0) return Promise.reject(errorOf(this.#handles.nameOf(code)));
    if (this.#handles.state[this.#handles.isAsyncAt] === 0) return bytes.length;
    this.#onWritten = Promise.withResolvers();
    return this.#onWritten.promise;
  }

  #written(status: number, count: number): void {
    const onWritten = this.#onWritten;
    this.#onWritten = undefined;
    if (status === 0) onWritten?.resolve(count);
    else onWritten?.reject(errorOf(this.#handles.nameOf(status)));
  }

  /** Says that nothing more is written; what the other end sends can still be read. */
  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  /** @throws {Deno.errors.BadResource} if it is closed. */
  close(): void {
    if (this.#isClosed) throw new Deno.errors.BadResource(CLOSED);
    this.#isClosed = true;
    openCount--;
    this.#handle.close();
    this.#conn.close();
    this.#waiting = undefined;
    this.#onRead?.reject(new Deno.errors.Interrupted("the connection was closed here"));
    this.#onWritten?.reject(new Deno.errors.Interrupted("the connection was closed here"));
  }
}

const CLOSED = "the connection is closed";

/** Returns the error of that name as the runtime's own connections report it. */
function errorOf(name: string): Error {
  switch (name) {
    case "ECONNRESET":
      return new Deno.errors.ConnectionReset("the connection was reset");
    case "EPIPE":
      return new Deno.errors.BrokenPipe("the other end takes nothing more");
    case "ETIMEDOUT":
      return new Deno.errors.TimedOut("the other end has not answered for too long");
    case "ENOTCONN":
      return new Deno.errors.NotConnected("the connection is gone");
    default:
      return new Deno.errors.ConnectionAborted(`the connection has failed: ${name}`);
  }
}
