/**
 * The port that clients and peers connect to.
 *
 * Clients may hold as many connections as there may be, but never all: above that number only a peer is
 * let in, and whoever does not ask a peer's question first is refused. The number is a constant until the
 * process turns out to be allowed fewer files than that. What the system allows cannot be asked, so it is
 * learned when the first connection fails for it: those clients that have been idle for longest are hung
 * up on then, and clients may have that many fewer from then on.
 *
 * @module
 */

import { type Address, formatAddress } from "../../address.ts";
import { now } from "../../clock.ts";
import { FatalError, messageOf } from "../../errors.ts";
import { CONNECTIONS_MAX, FILES_FOR_PEERS, PEER_CONNECTIONS_MAX } from "../../limits.ts";
import {
  acceptAll,
  closeQuietly,
  isOutOfFiles,
  isPortInUse,
  listen,
  type Listener,
  type Socket,
  writeAll,
} from "../../socket.ts";
import { type TlsServer, withTls } from "../../tls.ts";
import type { Session } from "../commands/command.ts";
import { Connection, type ConnectionHost } from "./connection.ts";

/** How often idle clients are looked for, in milliseconds; not more often than their time is over. */
const IDLE_CHECK_MS = 1000;

/** What a listener needs from the node. */
export interface ListenerHost extends ConnectionHost {
  /** A client silent for this long is disconnected, in milliseconds; `Infinity` for never. */
  readonly idleMsMax: number;
  /** A connection was accepted. `isRefused`: there are too many clients, unless it is a peer's. */
  onAccepted(about: { isRefused: boolean }): void;
  /** A connection could not be accepted, and nobody else has to wait for that. */
  onAcceptFailure(error: unknown): void;
  /** The process lacks something for another connection. */
  onShortage(error: unknown): void;
  /** Clients may have only so many connections from now on, and `closed` of them were closed for that. */
  onFewerClients(about: { connectionsMax: number; closed: number }): void;
}

/** So few connections are not what all files are open for. */
const CONNECTIONS_MIN = 8;

/** A closed connection frees its place a little later; until then nothing more is closed, in ms. */
const ROOM_PAUSE_MS = 50;

/** Accepts connections, and serves them. */
export class ClientListener {
  readonly #listener: Listener;
  readonly #connections = new Set<Connection>();
  /** Those above the most that clients may have, the oldest first: they have to show that they are peers. */
  readonly #unproven = new Set<Connection>();
  #connectionsMax = CONNECTIONS_MAX;
  #unprovenMax = PEER_CONNECTIONS_MAX;
  #host: ListenerHost | undefined;
  #idleCheck: ReturnType<typeof setInterval> | undefined;
  #isAccepting = true;
  /** The last connection has ended. */
  #onEmpty = () => {};
  #madeRoomAt = -Infinity;
  #lastId = 0;

  /**
   * Takes the port. Until the node serves requests, each client is turned away with `reason`.
   *
   * @param reason the code and the message of an error reply
   * @param tls how TLS is spoken; it is not, if not given
   * @throws {FatalError} if it cannot listen at `address`.
   */
  constructor(address: Address, reason: string, tls?: TlsServer) {
    const listener = open(address);
    this.#listener = tls === undefined ? listener : withTls(listener, tls);
    acceptAll(this.#listener, {
      onSocket: (socket) => {
        if (this.#host !== undefined) return this.#accept(socket, this.#host);
        refuse(socket, reason);
        return "full";
      },
      onFailure: (error) => this.#host?.onAcceptFailure(error),
      onShortage: (error) => {
        this.#host?.onShortage(error);
        if (isOutOfFiles(error)) this.makeRoom();
      },
    });
  }

  /** The port that it listens at. */
  get port(): number {
    return this.#listener.port;
  }

  /** Returns the session of a connection by its number. */
  sessionOf(id: number): Session | undefined {
    for (const { session } of this.#connections) if (session.id === id) return session;
    return undefined;
  }

  /** Returns the sessions of all connections. */
  *sessions(): Iterable<Session> {
    for (const { session } of this.#connections) yield session;
  }

  /** What held commands back has ended: goes on with them. */
  resume(): void {
    for (const connection of [...this.#connections]) {
      connection.attempt(() => connection.onReplies());
    }
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Serves all clients that connect from now on. */
  serve(host: ListenerHost): void {
    this.#host = host;
    this.#idleCheck = setInterval(() => {
      host.turns.onTimer();
      if (host.idleMsMax < Infinity) this.#closeIdle(now() - host.idleMsMax);
    }, Math.min(IDLE_CHECK_MS, host.idleMsMax));
  }

  #accept(socket: Socket, host: ListenerHost): "full" | undefined {
    const isForPeers = this.#connections.size >= this.#connectionsMax;
    host.onAccepted({ isRefused: isForPeers });
    const isFull = this.#connections.size >= this.#connectionsMax + this.#unprovenMax;
    if (isFull) {
      // A peer asks its question at once, so the connection that has waited longest is not a peer's.
      const [oldest] = this.#unproven;
      if (oldest === undefined) {
        refuse(socket, "ERR max number of clients reached");
        return "full";
      }
      oldest.close();
    }
    const id = ++this.#lastId;
    const onClosed = () => {
      this.#connections.delete(connection);
      this.#unproven.delete(connection);
      if (this.#connections.size === 0) this.#onEmpty();
    };
    const onProven = () => this.#unproven.delete(connection);
    const connection = new Connection({ socket, id, host, isForPeers, onClosed, onProven });
    this.#connections.add(connection);
    if (isForPeers) this.#unproven.add(connection);
    connection.serve();
    return isFull ? "full" : undefined;
  }

  /**
   * The process has as many files open as it may: from now on clients may have fewer connections, so that
   * some are left for peers. Those that nothing is under way on are closed for that, the ones that never
   * said anything first, and then the ones that were idle for longest.
   */
  makeRoom(): void {
    const { size } = this.#connections;
    if (size <= CONNECTIONS_MIN || now() - this.#madeRoomAt < ROOM_PAUSE_MS) return;
    this.#madeRoomAt = now();
    const room = Math.min(FILES_FOR_PEERS, Math.ceil(size / 4));
    this.#connectionsMax = Math.min(this.#connectionsMax, size - room);
    this.#unprovenMax = Math.min(this.#unprovenMax, Math.ceil(room / 2));
    const closable = [...this.#connections].filter((one) => one.isAtRest)
      .sort((a, b) => Number(a.hasSpoken) - Number(b.hasSpoken) || a.usedAtMs - b.usedAtMs)
      .slice(0, room);
    for (const connection of closable) connection.close();
    this.#host?.onFewerClients({
      connectionsMax: this.#connectionsMax,
      closed: closable.length,
    });
  }

  #closeIdle(usedBefore: number): void {
    for (const connection of this.#connections) {
      if (connection.isAtRest && connection.usedAtMs < usedBefore) connection.close();
    }
  }

  /** Accepts no more connections; those that there are go on. */
  stopAccepting(): void {
    if (this.#isAccepting) closeQuietly(this.#listener);
    this.#isAccepting = false;
  }

  /**
   * Accepts no more, and closes each connection when its client has got what was answered, for at most so
   * many milliseconds.
   */
  async finish(ms: number): Promise<void> {
    this.stopAccepting();
    for (const connection of [...this.#connections]) connection.end();
    if (this.#connections.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }

  /** Accepts no more, and closes all connections. */
  close(): void {
    clearInterval(this.#idleCheck);
    this.stopAccepting();
    for (const connection of this.#connections) connection.close();
  }
}

/** Another process has the port. */
export class PortInUseError extends FatalError {}

function open(address: Address): Listener {
  try {
    return listen(address);
  } catch (error) {
    const where = formatAddress(address);
    if (isPortInUse(error)) {
      throw new PortInUseError(`cannot listen on ${where}: the port is in use`);
    }
    throw new FatalError(`cannot listen on ${where}: ${messageOf(error)}`);
  }
}

/** Replies with the reason, and hangs up. */
function refuse(socket: Socket, reason: string): void {
  const bytes = new TextEncoder().encode(`-${reason}\r\n`);
  writeAll(socket, bytes).catch(() => {}).finally(() => closeQuietly(socket));
}
