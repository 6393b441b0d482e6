/**
 * Sockets: the only place that opens and accepts connections.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import type { Address } from "./address.ts";
import { now } from "./clock.ts";
import { TlsError } from "./errors.ts";
import { fasten } from "./fast_socket.ts";
import { NameLookups, UnknownHostError } from "./name_lookup.ts";

/** One end of a connection. */
export interface Socket {
  /** Returns how many bytes were put into `space`; `null` at the end. */
  read(space: Uint8Array): Promise<number | null>;
  /** Returns how many of the bytes were taken, at once if it can. */
  write(bytes: Uint8Array): number | Promise<number>;
  close(): void;
  /** Says that nothing more is written; what the other end sends can still be read. */
  closeWrite?(): Promise<void>;
  /** The addresses of the other end and of this one, if it has any. */
  readonly remoteAddr?: Address | undefined;
  readonly localAddr?: Address | undefined;
  /** It is TLS. */
  readonly isEncrypted?: boolean;
}

/** Accepts connections at one address. */
export interface Listener {
  readonly port: number;
  accept(): Promise<Socket>;
  close(): void;
  /** Does not keep the process alive. */
  unref(): void;
}

/**
 * Connects to `address`.
 *
 * @throws {UnknownHostError} if the name has no address now.
 * @throws {Error} if nobody takes the connection within `timeoutMs`.
 */
export async function connect(address: Address, timeoutMs: number): Promise<Socket> {
  const endAt = now() + timeoutMs;
  const hosts = await deadline(LOOKUPS.addressesOf(address.hostname), timeoutMs).catch((error) => {
    if (error instanceof UnknownHostError) throw error;
    throw new UnknownHostError(`the host name "${address.hostname}" was not found in time`);
  });
  for (const [index, hostname] of hosts.entries()) {
    const shareMs = Math.max(1, (endAt - now()) / (hosts.length - index));
    try {
      return await connectTo({ hostname, port: address.port }, shareMs);
    } catch (error) {
      if (index === hosts.length - 1) throw error;
    }
  }
  throw new UnknownHostError(`the host name "${address.hostname}" has no address`);
}

/** All lookups of this process. */
export const LOOKUPS = new NameLookups();

async function connectTo(address: Address, timeoutMs: number): Promise<Socket> {
  const aborter = new AbortController();
  const connecting = Deno.connect({ ...address, signal: aborter.signal });
  try {
    return prepared(await deadline(connecting, timeoutMs));
  } catch (error) {
    aborter.abort();
    connecting.then(closeQuietly, () => {}); // It may have succeeded at the same moment.
    throw error;
  }
}

/**
 * Listens at `address`; port 0 is any free one.
 *
 * @throws {Error} if that is not possible.
 */
export function listen(address: Address): Listener {
  const listener = Deno.listen(address);
  return {
    port: listener.addr.port,
    accept: async () => prepared(await listener.accept()),
    close: () => listener.close(),
    unref: () => listener.unref(),
  };
}

/**
 * What is written leaves at once: all that belongs together is written together. And the system asks
 * the other end every now and then whether it is still there; how often, only the system can say.
 */
function prepared(conn: Deno.TcpConn): Socket {
  try {
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
  } catch (error) {
    closeQuietly(conn); // It was reset already: nobody else would close it.
    throw error;
  }
  return fasten(conn);
}

/** While the process lacks what a connection needs, nothing is accepted for this long, in ms. */
const ACCEPT_PAUSE_MS = 100;

/** What is done with what comes at a listener. */
export interface Acceptance {
  /** Returns `"full"` if others had to be closed for it: then they are, before the next is accepted. */
  onSocket(socket: Socket): "full" | void;
  /** A connection was lost before it could be accepted. */
  onFailure?(error: unknown): void;
  /** The process lacks what another connection needs, so nothing is accepted for a moment. */
  onShortage?(error: unknown): void;
}

/**
 * Accepts connections until `listener` is closed. Whoever connects and hangs up before it is accepted
 * makes an error here: only a shortage of the process itself may cost the others any time.
 */
export async function acceptAll(listener: Listener, acceptance: Acceptance): Promise<void> {
  for (;;) {
    let socket: Socket;
    try {
      socket = await listener.accept();
    } catch (error) {
      if (isClosedListener(error)) return;
      if (!isShortage(error)) acceptance.onFailure?.(error);
      else {
        acceptance.onShortage?.(error);
        // What is closed in this turn is free in a later one.
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
      continue;
    }
    // What is closed in this turn is free in a later one.
    if (acceptance.onSocket(socket) === "full") await new Promise((resolve) => setTimeout(resolve));
  }
}

/** Writes all of `bytes`: a single write may take fewer. */
export async function writeAll(socket: Pick<Socket, "write">, bytes: Uint8Array): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) rest = rest.subarray(await socket.write(rest));
}

/** As {@linkcode writeAll}, for the busiest places: returns nothing if all of it was done at once. */
export function writeAtOnce(
  socket: Pick<Socket, "write">,
  bytes: Uint8Array,
): void | Promise<void> {
  const written = socket.write(bytes);
  if (typeof written !== "number") {
    return written.then((count) => writeAll(socket, bytes.subarray(count)));
  }
  if (written < bytes.length) return writeAll(socket, bytes.subarray(written));
}

/** Closes `socket`, which may be closed already. */
export function closeQuietly(socket: { close(): void }): void {
  try {
    socket.close();
  } catch {
    // It was closed before, as intended.
  }
}

/** Tells whether `error` only says that the other end, or this one, has closed the connection. */
export function isDisconnect(error: unknown): boolean {
  return error instanceof TlsError || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.TimedOut || error instanceof Deno.errors.NotConnected;
}

/** Tells whether `error` says that a listener was closed. */
export function isClosedListener(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}

/** What the system says when it cannot give the process another connection now. */
const SHORTAGES: readonly unknown[] = ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"];

function isShortage(error: unknown): boolean {
  return SHORTAGES.includes(codeOf(error));
}

/** Tells whether `error` says that the process has as many files open as it may. */
export function isOutOfFiles(error: unknown): boolean {
  return codeOf(error) === "EMFILE";
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** Tells whether `error` says that another process has the port. */
export function isPortInUse(error: unknown): boolean {
  return error instanceof Deno.errors.AddrInUse;
}
