/**
 * The status pages that look at this node now, and what they are told, by server-sent events: the
 * samples of the last minutes when a page opens, and the state once a second.
 *
 * All pages get the same text, which is made once a second and only if there is a page.
 *
 * @module
 */

import type { ClusterStatus } from "../../cluster_status.ts";
import { LIVE_PAGES_MAX } from "../../limits.ts";
import type { HttpReply, HttpStream, HttpStreamReply } from "./http_server.ts";
import type { PaceSample } from "./pace.ts";
import type { ViewEntry } from "./view_history.ts";

/** What a page shows of a node at one moment. The page reads it as JSON: see `page.js`. */
export interface LiveState {
  /** Milliseconds of wall-clock time, by the clock of the node. */
  readonly at: number;
  readonly status: ClusterStatus;
  /** Why the node is not a member with a lease; `null` if it is. */
  readonly whyNotReady: string | null;
  readonly sample: PaceSample | null;
  /** The newest first. */
  readonly views: readonly ViewEntry[];
  readonly connections: number;
  readonly usedBytes: number;
  /** 0: no bound. */
  readonly boundBytes: number;
  readonly longestTurnMs: number;
}

/** A page that has lost its connection tries again after so many milliseconds. */
const RETRY_MS = 2000;

/** Keeps pages up to date. */
export class LivePages {
  readonly #streams = new Set<HttpStream>();

  /** How many there are. */
  get size(): number {
    return this.#streams.size;
  }

  /** Answers a page that wants to be kept up to date. */
  open(samples: readonly PaceSample[], state: LiveState): HttpReply | HttpStreamReply {
    if (this.#streams.size >= LIVE_PAGES_MAX) {
      const body = `this node keeps ${LIVE_PAGES_MAX} pages up to date already\n`;
      return { status: 503, headers: { "Retry-After": "10" }, body };
    }
    return {
      type: "text/event-stream",
      onOpen: (stream) => {
        this.#streams.add(stream);
        const history = `event: history\ndata: ${JSON.stringify(samples)}\n\n`;
        stream.send(`retry: ${RETRY_MS}\n\n${history}${eventOf(state)}`);
        return () => this.#streams.delete(stream);
      },
    };
  }

  /** Tells all pages how the node is; `state` is called only if there are any. */
  tell(state: () => LiveState): void {
    if (this.#streams.size === 0) return;
    const text = eventOf(state());
    for (const stream of this.#streams) stream.send(text);
  }
}

function eventOf(state: LiveState): string {
  return `event: state\ndata: ${JSON.stringify(state)}\n\n`;
}
