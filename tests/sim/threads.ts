/**
 * Seeds on several threads: each thread is given the next few when it has finished those before.
 *
 * @module
 */

/** Seeds that a thread is given at once. */
export interface SeedRange {
  readonly from: number;
  readonly count: number;
}

/**
 * Runs all seeds of `range`.
 *
 * @param options `script`: the worker, which answers each task with one message; `chunk`: how many
 * seeds a task has; `taskOf` makes a task; `onPart` is told each answer
 * @throws {Error} if a worker fails; it names the seeds.
 */
export async function runOnThreads<Part>(
  range: SeedRange,
  options: {
    readonly script: URL;
    readonly jobs: number;
    readonly chunk: number;
    readonly taskOf: (seeds: SeedRange) => unknown;
    readonly onPart: (part: Part) => void;
  },
): Promise<void> {
  const { script, jobs, chunk, taskOf, onPart } = options;
  const end = range.from + range.count;
  let next = range.from;
  const runThread = async () => {
    const worker = new Worker(script, { type: "module" });
    while (next < end) {
      const seeds = { from: next, count: Math.min(chunk, end - next) };
      next += seeds.count;
      onPart(await ask<Part>(worker, { seeds, task: taskOf(seeds) }));
    }
    worker.terminate();
  };
  await Promise.all(Array.from({ length: jobs }, runThread));
}

function ask<Part>(
  worker: Worker,
  { seeds, task }: { seeds: SeedRange; task: unknown },
): Promise<Part> {
  const { promise, resolve, reject } = Promise.withResolvers<Part>();
  worker.onmessage = (event: MessageEvent<Part>) => resolve(event.data);
  worker.onerror = (event) => {
    event.preventDefault();
    const last = seeds.from + seeds.count - 1;
    reject(new Error(`seeds ${seeds.from} to ${last}: ${event.message}`));
  };
  worker.postMessage(task);
  return promise;
}
