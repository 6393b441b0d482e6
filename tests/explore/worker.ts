/**
 * Makes runs of the explorer in a thread of its own.
 *
 * @module
 */

/// <reference lib="deno.worker" />

import { runTask, type Task } from "./summary.ts";

self.onmessage = (event: MessageEvent<Task>) => {
  self.postMessage(runTask(event.data));
};
