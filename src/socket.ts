/**
 * Sockets: the only place that opens and accepts connections.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import type { Address } from "./address.ts";

/** One end of a connection. */
export interface Socket {
  /** Returns how many bytes were put into `space`; `null` at the end. */
  read(space: Uint8Array): Promise<number | null>;
  /** Returns how many of the bytes were taken. */
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
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
 * @throws {Error} if no peer accepts the connection within `timeoutMs`, or the name has no address.
 */
export async function connect(address: Address, timeoutMs: number): Promise<Socket> {
  const aborter = new AbortController();
  const connecting = Deno.connect({ ...address, signal: aborter.signal });
  try {
    return withoutDelay(await deadline(connecting, timeoutMs));
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
    accept: async () => withoutDelay(await listener.accept()),
    close: () => listener.close(),
    unref: () => listener.unref(),
  };
}

/** Each write leaves at once: callers write together what belongs together. */
function withoutDelay(conn: Deno.TcpConn): Socket {
  conn.setNoDelay(true);
  return conn;
}

/** Writes all of `bytes`: a single write may take fewer. */
export async function writeAll(socket: Pick<Socket, "write">, bytes: Uint8Array): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) {
    const written = await socket.write(rest);
    if (written === rest.length) return;
    rest = rest.subarray(written);
  }
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
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.TimedOut || error instanceof Deno.errors.NotConnected;
}

/** Tells whether `error` says that a listener was closed. */
export function isClosedListener(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}

/** Tells whether `error` says that another process has the port. */
export function isPortInUse(error: unknown): boolean {
  return error instanceof Deno.errors.AddrInUse;
}

/** Tells whether `error` says that a host name has no address. */
export function isUnknownHost(error: unknown): boolean {
  return error instanceof Error && /failed to lookup address|no such host/i.test(error.message);
}
