/**
 * The port that clients and peers connect to.
 *
 * @module
 */

import { type Address, formatAddress } from "../../address.ts";
import { FatalError, messageOf } from "../../errors.ts";
import { CONNECTIONS_MAX, PEER_CONNECTIONS_MAX } from "../../limits.ts";
import {
  closeQuietly,
  isClosedListener,
  isPortInUse,
  listen,
  type Listener,
  type Socket,
  writeAll,
} from "../../socket.ts";
import { Connection, type ConnectionHost } from "./connection.ts";

/** The pause after an error before connections are accepted again, in milliseconds. */
const PAUSE_MS = 100;

/** What a listener needs from the node. */
export interface ListenerHost extends ConnectionHost {
  /** A connection was accepted. `isRefused`: there are too many clients, unless it is a peer's. */
  onAccepted(about: { isRefused: boolean }): void;
  onAcceptFailure(error: unknown): void;
}

/** Accepts connections, and serves them. */
export class ClientListener {
  readonly #listener: Listener;
  readonly #connections = new Set<Connection>();
  #lastId = 0;

  /** @throws {FatalError} if it cannot listen at `address`. */
  constructor(address: Address) {
    this.#listener = open(address);
  }

  /** The port that it listens at. */
  get port(): number {
    return this.#listener.port;
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Accepts connections until it is closed. */
  async acceptAll(host: ListenerHost): Promise<void> {
    for (;;) {
      try {
        this.#accept(await this.#listener.accept(), host);
      } catch (error) {
        if (isClosedListener(error)) return;
        host.onAcceptFailure(error);
        // Most likely out of file descriptors: there are more when a client hangs up.
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  #accept(socket: Socket, host: ListenerHost): void {
    const isForPeers = this.#connections.size >= CONNECTIONS_MAX;
    host.onAccepted({ isRefused: isForPeers });
    if (this.#connections.size >= CONNECTIONS_MAX + PEER_CONNECTIONS_MAX) {
      refuse(socket, "max number of clients reached");
      return;
    }
    const id = ++this.#lastId;
    const onClosed = () => this.#connections.delete(connection);
    const connection = new Connection({ socket, id, host, isForPeers, onClosed });
    this.#connections.add(connection);
    connection.serve();
  }

  /** Accepts no more, and closes all connections. */
  close(): void {
    closeQuietly(this.#listener);
    for (const connection of this.#connections) connection.close();
  }
}

function open(address: Address): Listener {
  try {
    return listen(address);
  } catch (error) {
    const where = formatAddress(address);
    if (isPortInUse(error)) throw new FatalError(`cannot listen on ${where}: the port is in use`);
    throw new FatalError(`cannot listen on ${where}: ${messageOf(error)}`);
  }
}

/** Replies with the reason, and hangs up. */
function refuse(socket: Socket, reason: string): void {
  const bytes = new TextEncoder().encode(`-ERR ${reason}\r\n`);
  writeAll(socket, bytes).catch(() => {}).finally(() => closeQuietly(socket));
}
