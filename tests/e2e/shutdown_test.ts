/** How a node ends when it is asked to: real processes, one of which stands still so that writes take long. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ClientConnection } from "../../src/client/connection.ts";
import { ErrorReply, OK } from "../../src/resp/value.ts";
import { binary } from "../harness/binary.ts";
import { CLIENT_TIMEOUT_MS } from "../harness/checks.ts";
import { freePorts, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import { within } from "../harness/lateness.ts";
import { execute, until } from "../harness/processes.ts";

const IGNORE = Deno.build.os === "windows";

async function connect(port: number): Promise<ClientConnection> {
  return await ClientConnection.open([{ hostname: "127.0.0.1", port }], {
    timeoutMs: CLIENT_TIMEOUT_MS,
  });
}

function textOf(reply: unknown): string {
  return reply instanceof ErrorReply ? `${reply.code} ${reply.message}` : String(reply);
}

async function isRefused(port: number): Promise<boolean> {
  try {
    (await connect(port)).close();
    return false;
  } catch {
    return true;
  }
}

/** Three nodes; the last stands still, and a write at the first waits for it. Others never leave it out. */
async function withWaitingWrite(
  then: (about: {
    nodes: readonly NodeProcess[];
    first: NodeProcess;
    last: NodeProcess;
    write: Promise<unknown>;
    other: ClientConnection;
  }) => Promise<void>,
): Promise<void> {
  const ports = freePorts(3).sort();
  const cluster = await LocalCluster.start({
    places: loopback(ports),
    args: ["--suspicion", "60s", "--timeout", "30s"],
  });
  try {
    const [first, , last] = cluster.nodes;
    assert(first !== undefined && last !== undefined);
    const [writer, other] = [await connect(first.port), await connect(first.port)];
    assertEquals(await writer.call(["SET", "k", "1"]), OK);
    last.signal("SIGSTOP");
    const write = writer.call(["SET", "k", "2"]).catch((error) => error);
    await until(
      "the write is under way",
      async () => /^keys_locked:1\r?$/m.test(String(await other.call(["INFO", "transactions"]))),
    );
    try {
      await then({ nodes: cluster.nodes, first, last, write, other });
    } finally {
      last.signal("SIGCONT");
      writer.close();
      other.close();
    }
  } finally {
    await cluster.stop();
  }
}

Deno.test({
  name: "SIGTERM: nothing new is accepted, what is under way is answered, and the node ends with 0",
  ignore: IGNORE,
  fn: () =>
    withWaitingWrite(async ({ first, last, write, other }) => {
      first.signal("SIGTERM");
      await until("no more connections are accepted", () => isRefused(first.port));
      assertMatch(textOf(await other.call(["GET", "k"])), /this node is stopping/);
      assertMatch(textOf(await other.call(["SET", "j", "1"])), /this node is stopping/);
      assertEquals(await Promise.race([write, Promise.resolve("waits")]), "waits");
      last.signal("SIGCONT");
      assertEquals(await write, OK);
      assertEquals(await first.untilEnded(), 0);
    }),
});

Deno.test({
  name: "SIGTERM: a node ends with 0 within 5 s, though a write cannot end",
  ignore: IGNORE,
  fn: () =>
    withWaitingWrite(async ({ first, write }) => {
      await within(5000, async () => {
        first.signal("SIGTERM");
        assertEquals(await first.untilEnded(), 0);
      });
      // It is not known whether the members that are left carry it out.
      assertMatch(textOf(await write), /^INDETERMINATE/);
    }),
});

Deno.test({
  name: "SIGTERM twice: the node ends at once, with 1 and a line that says why",
  ignore: IGNORE,
  fn: () =>
    withWaitingWrite(async ({ first }) => {
      first.signal("SIGTERM");
      await until("no more connections are accepted", () => isRefused(first.port));
      // The first signal alone takes 3 s here.
      await within(1500, async () => {
        first.signal("SIGTERM");
        assertEquals(await first.untilEnded(), 1);
      });
      assertMatch(first.printed, /^dks: ended by a second signal$/m);
    }),
});

/** Sits between a program and the C library: while a file is there, no force ends. */
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static int hung(int fd, const char *name) {
  int (*force)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
  while (access(getenv("HANG_WHILE"), F_OK) == 0) usleep(1000);
  return force(fd);
}
int fsync(int fd) { return hung(fd, "fsync"); }
int fdatasync(int fd) { return hung(fd, "fdatasync"); }
`;

Deno.test({
  name: "SIGTERM: a node whose disk hangs ends with 0 within 5 s",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "dks-shutdown-" });
    try {
      await Deno.writeTextFile(`${folder}/hung.c`, SHIM);
      const library = `${folder}/hung.so`;
      const built = await execute("gcc", [
        ...["-shared", "-fPIC", "-o", library, `${folder}/hung.c`, "-ldl"],
      ]);
      assertEquals(built.code, 0, built.stderr);
      const [port = 0] = freePorts(1);
      const hang = `${folder}/hang`;
      const node = new NodeProcess({
        program: await binary(),
        port,
        args: ["--timeout", "30s"],
        storage: [],
        env: { XDG_DATA_HOME: folder, LD_PRELOAD: library, HANG_WHILE: hang },
      });
      try {
        await node.untilPrinted(/cluster is complete/);
        const [writer, other] = [await connect(port), await connect(port)];
        assertEquals(await writer.call(["SET", "k", "1"]), OK);
        await Deno.writeTextFile(hang, "");
        const write = writer.call(["SET", "k", "2"]).catch((error) => error);
        await until(
          "the write is under way",
          async () =>
            /^keys_locked:1\r?$/m.test(String(await other.call(["INFO", "transactions"]))),
        );
        await within(5000, async () => {
          node.signal("SIGTERM");
          assertEquals(await node.untilEnded(), 0);
        });
        assertMatch(textOf(await write), /^INDETERMINATE/);
        writer.close();
        other.close();
      } finally {
        await Deno.remove(hang).catch(() => {});
        await node.stop();
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
