/**
 * What is missing at a socket.
 *
 * @module
 */

/** Writes all of `bytes`: a single write may take fewer. */
export async function writeAll(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) {
    const written = await conn.write(rest);
    if (written === rest.length) return;
    rest = rest.subarray(written);
  }
}

/** Closes `conn`, which may be closed already. */
export function closeQuietly(conn: { close(): void }): void {
  try {
    conn.close();
  } catch {
    // It was closed before: that is what was wanted.
  }
}

/** Tells whether `error` only says that the other end, or this one, has closed the connection. */
export function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.TimedOut || error instanceof Deno.errors.NotConnected;
}
