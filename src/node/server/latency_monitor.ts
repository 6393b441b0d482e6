/**
 * LATENCY: what took longer than `latency-monitor-threshold`, by kind of event.
 *
 * @module
 */

import type { LatencySample } from "../commands/command.ts";

/** So many samples of an event are kept, of different seconds, as in Redis. */
const SAMPLES_MAX = 160;

/** Every kind of event, so that there are never more. */
export type LatencyEvent = "command" | "fast-command" | "event-loop";

/** The latest samples of each kind of event. */
export class LatencyMonitor {
  /** What takes so long is noted, in milliseconds; 0: nothing. */
  thresholdMs = 0;
  readonly #events = new Map<string, { readonly samples: LatencySample[]; maxMs: number }>();

  /** Notes that `event` took so long; the longest of a second is kept. */
  note(event: LatencyEvent, ms: number, wallMs: number): void {
    if (this.thresholdMs === 0 || ms < this.thresholdMs) return;
    const latency = Math.round(ms);
    const atSeconds = Math.floor(wallMs / 1000);
    const known = this.#events.get(event) ?? { samples: [], maxMs: 0 };
    this.#events.set(event, known);
    known.maxMs = Math.max(known.maxMs, latency);
    const last = known.samples.at(-1);
    if (last?.atSeconds === atSeconds) {
      known.samples[known.samples.length - 1] = { atSeconds, ms: Math.max(last.ms, latency) };
      return;
    }
    known.samples.push({ atSeconds, ms: latency });
    if (known.samples.length > SAMPLES_MAX) known.samples.shift();
  }

  /** Returns the latest sample of each event, and the longest. */
  latest(): readonly (readonly [event: string, sample: LatencySample, maxMs: number])[] {
    return [...this.#events].flatMap(([event, { samples, maxMs }]) => {
      const last = samples.at(-1);
      return last === undefined ? [] : [[event, last, maxMs] as const];
    });
  }

  /** Returns the samples of an event, the oldest first. */
  history(event: string): readonly LatencySample[] {
    return this.#events.get(event)?.samples ?? [];
  }

  /** Forgets these events, or all if none is named. Returns how many there were. */
  reset(events: readonly string[]): number {
    const named = events.length === 0 ? [...this.#events.keys()] : events;
    return named.filter((event) => this.#events.delete(event)).length;
  }
}
