/**
 * The comparison with Redis: the same stream of commands goes to both, and the replies must be the same.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import { quote } from "../../src/byte_string.ts";
import { CommandSource, type Comparison, type Step } from "./command_stream.ts";
import { RawConnection } from "./raw_replies.ts";

/** Commands that are sent at once. */
const BATCH = 100;

/** What a comparison came to. */
export interface ComparisonResult {
  readonly commands: number;
  /** How many replies were not compared, by the reason. */
  readonly differing: ReadonlyMap<string, number>;
  /** The replies that differ and must not. */
  readonly failures: readonly string[];
}

/**
 * Sends `count` commands to both servers.
 *
 * @param options `ports`: those of Redis, and of nodes of dks, which take the batches in turn;
 *   `version`: of the protocol
 */
export async function compareWithRedis(
  options: {
    redisPort: number;
    ports: readonly number[];
    seed: number;
    count: number;
    version: 2 | 3;
    names?: readonly string[];
  },
): Promise<ComparisonResult> {
  const { seed, count, version } = options;
  const redis = await RawConnection.open(options.redisPort);
  const nodes = await Promise.all(options.ports.map((port) => RawConnection.open(port)));
  const source = new CommandSource(seed, options.names);
  const differing = new Map<string, number>();
  const failures: string[] = [];
  try {
    for (const connection of [redis, ...nodes]) {
      await connection.callAll([["HELLO", String(version)]]);
    }
    for (const connection of [redis, ...nodes]) await connection.callAll([["FLUSHALL"]]);
    let done = 0;
    for (let batch = 0; done < count && failures.length < 20; batch++) {
      const steps: Step[] = [];
      while (steps.length < BATCH) steps.push(...source.next());
      const words = steps.map((step) => step.words);
      const node = nodes[batch % nodes.length];
      if (node === undefined) throw new Error("there is no node to compare");
      const [theirs, ours] = await Promise.all([redis.callAll(words), node.callAll(words)]);
      steps.forEach((step, at) => {
        const [their = "", our = ""] = [theirs[at], ours[at]];
        const { comparison } = step;
        if (comparison.kind === "none") {
          differing.set(comparison.reason, (differing.get(comparison.reason) ?? 0) + 1);
        } else if (!isSame(their, our, comparison)) failures.push(describe(step, their, our));
      });
      done += steps.length;
    }
    return { commands: done, differing, failures };
  } finally {
    for (const connection of [redis, ...nodes]) connection.close();
  }
}

function isSame(their: ByteString, our: ByteString, comparison: Comparison): boolean {
  if (their === our) return true;
  switch (comparison.kind) {
    case "near": {
      const integer = /^:(-?\d+)\r\n$/;
      const [a, b] = [integer.exec(their)?.[1], integer.exec(our)?.[1]];
      return a !== undefined && b !== undefined && Number(a) >= 0 && Number(b) >= 0 &&
        Math.abs(Number(a) - Number(b)) <= comparison.by;
    }
    case "unordered":
      return their.split("\r\n").sort().join() === our.split("\r\n").sort().join();
    default:
      return false;
  }
}

function describe({ words }: Step, their: ByteString, our: ByteString): string {
  const command = words.map((word) => quote(word, 60)).join(" ");
  return `${command}\n  Redis ${quote(their, 300)}\n  dks   ${quote(our, 300)}`;
}
