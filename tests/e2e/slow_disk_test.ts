/** A member with a slow disk: real forces of a real store, each of which takes 150 ms at one node. */

import { assert, assertEquals } from "@std/assert";
import type { Address } from "../../src/address.ts";
import type { ClusterStatus, NodeStatus } from "../../src/cluster_status.ts";
import { binary } from "../harness/binary.ts";
import { call, CLIENT_TIMEOUT_MS, untilMore } from "../harness/checks.ts";
import { freePorts, loopback, NodeProcess } from "../harness/cluster.ts";
import { execute, until } from "../harness/processes.ts";
import { REST_MS, Workload } from "../harness/workload.ts";

/** Sits between a program and the C library, and makes every force take long. */
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int late(int fd, const char *name) {
  int (*force)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
  usleep(150000);
  return force(fd);
}
int fsync(int fd) { return late(fd, "fsync"); }
int fdatasync(int fd) { return late(fd, "fdatasync"); }
`;

const SLOW = 2;

/** Compiles the shim in `folder`. Returns its path; `undefined` if that cannot be done. */
async function compileShim(folder: string): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  await Deno.writeTextFile(`${folder}/late.c`, SHIM);
  const path = `${folder}/late.so`;
  const args = ["-shared", "-fPIC", "-o", path, `${folder}/late.c`, "-ldl"];
  const code = await execute("gcc", args).then((ended) => ended.code, () => 1);
  return code === 0 ? path : undefined;
}

/** Runs three nodes under load, one of which has a slow disk. */
async function withSlowNode(
  args: readonly string[],
  then: (about: {
    addresses: readonly Address[];
    nodes: readonly NodeProcess[];
    workload: Workload;
  }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "dks-slow-disk-" });
  try {
    const shim = await compileShim(folder);
    assert(shim !== undefined);
    const places = loopback(freePorts(3), await binary());
    const peers = places.map(({ address }) => address).join(",");
    const nodes = places.map(({ program, port }, index) =>
      new NodeProcess({
        program,
        port,
        args: ["--peers", peers, ...args],
        storage: [],
        env: {
          XDG_DATA_HOME: `${folder}/${index}`,
          ...(index === SLOW ? { LD_PRELOAD: shim } : {}),
        },
      })
    );
    const addresses = places.map(({ port }) => ({ hostname: "127.0.0.1", port }));
    const workload = new Workload({
      addresses: addresses.slice(0, SLOW),
      writersPerNode: 2,
      readersPerNode: 1,
      keysPerWriter: 2,
      timeoutMs: CLIENT_TIMEOUT_MS,
      pauseMs: () => REST_MS,
    });
    try {
      // The slow one may be left out before it can say so.
      const fast = nodes.slice(0, SLOW);
      await Promise.all(fast.map((node) => node.untilPrinted(/cluster is complete/)));
      await then({ addresses, nodes, workload });
      await workload.stop();
      assertEquals(workload.wrong, []);
    } finally {
      const stopped = workload.stop();
      await Promise.all(nodes.map((node) => node.stop("SIGKILL")));
      await stopped;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function statusOf(address: Address): Promise<ClusterStatus> {
  return JSON.parse(String(await call(address, ["DKS.STATUS"])));
}

/** Returns what `status` says of the node at `address`: nodes are listed in the order of names. */
function nodeAt({ nodes }: ClusterStatus, address: Address | undefined): NodeStatus | undefined {
  return nodes.find((node) => node.address === `127.0.0.1:${address?.port}`);
}

const probe = await Deno.makeTempDir({ prefix: "dks-slow-disk-" });
const ignore = await compileShim(probe) === undefined;
await Deno.remove(probe, { recursive: true });

Deno.test({
  name: "a member with a slow disk is named in the log, status and INFO",
  ignore,
  fn: () =>
    withSlowNode([], async ({ addresses, nodes, workload }) => {
      const [first] = addresses;
      assert(first !== undefined);
      const name = `127.0.0.1:${addresses[SLOW]?.port}`;
      await nodes[0]?.untilPrinted(new RegExp(`the disk of ${name} is slow`));
      // On a busy machine other disks may be slow for a moment, or a node be out of the view.
      await until("status shows the slow one as a member", async () => {
        const slow = nodeAt(await statusOf(first), addresses[SLOW]);
        return slow?.isSlow === true && slow.isInView && (slow.forceMs ?? 0) > 100;
      });
      await until("INFO names it", async () => {
        const info = String(await call(first, ["INFO", "cluster"]));
        return /^slow_disks:(.*)\r$/m.exec(info)?.[1]?.split(",").includes(name) === true;
      });
      await untilMore(workload, { writes: 10 });
    }),
});

Deno.test({
  name: "a member with a slow disk is left out of the view with --slow-member exclude",
  ignore,
  fn: () =>
    withSlowNode(["--slow-member", "exclude"], async ({ addresses, workload }) => {
      const [first] = addresses;
      assert(first !== undefined);
      await until("the slow node is outside", async () => {
        const status = await statusOf(first);
        const areIn = addresses.map((address) => nodeAt(status, address)?.isInView);
        return areIn.join() === "true,true,false";
      });
      // At 150 ms a force this would take a quarter of an hour.
      await untilMore(workload, { writes: 500 });
      const status = await statusOf(first);
      const slow = nodeAt(status, addresses[SLOW]);
      assertEquals([slow?.isSlow, status.isComplete], [true, true]);
    }),
});
