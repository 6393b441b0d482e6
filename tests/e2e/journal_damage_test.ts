/** What becomes of a journal that cannot be written or read: one clear line, and nothing is lost. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { freePorts, FROM_SOURCE, LocalCluster, loopback, NodeProcess } from "../harness/cluster.ts";
import type { Address } from "../../src/address.ts";
import { type ByteString, fromBytes } from "../../src/byte_string.ts";
import { ConnectionError } from "../../src/client/connection.ts";
import { chunkKey } from "../../src/node/storage/kv_layout.ts";
import { binary } from "../harness/binary.ts";
import {
  assertAgreement,
  call,
  CLIENT_TIMEOUT_MS,
  isOk,
  untilLocksAreFree,
} from "../harness/checks.ts";
import { client, execute, until } from "../harness/processes.ts";
import { databasesBelow, withHome } from "../harness/homes.ts";
import { REST_MS, Workload } from "../harness/workload.ts";

type Environment = Readonly<Record<string, string>>;

const loopbackAddress = (port: number): Address => ({ hostname: "127.0.0.1", port });

async function startAlone(port: number, env: Environment): Promise<NodeProcess> {
  return new NodeProcess({ program: await binary(), port, args: [], storage: [], env });
}

/** Checks that a node ends by itself, having said one thing that is wrong; returns that line. */
async function refusalOf(node: NodeProcess): Promise<string> {
  assertEquals(await node.untilEnded(), 1, node.printed);
  // A busy machine makes a disk slow, and there is no secret: that is no part of it.
  const wrong = node.printed.split("\n")
    .filter((line) =>
      !/ (INFO|DEBUG) | WARN {2}(the disk of |THERE IS NO CLUSTER SECRET)/.test(line)
    );
  assertEquals(wrong.length, 1, node.printed);
  return wrong[0] ?? "";
}

// --- A full disk -----------------------------------------------------------------------------

/** Makes a disk of `megabytes` at `folder`. Returns whether that is permitted here. */
async function mountDisk(folder: string, megabytes: number): Promise<boolean> {
  await Deno.mkdir(folder, { recursive: true });
  try {
    const options = `size=${megabytes}m`;
    return (await execute("mount", ["-t", "tmpfs", "-o", options, "dks-test", folder])).code === 0;
  } catch {
    return false;
  }
}

async function remountDisk(folder: string, options: string): Promise<void> {
  const { code, stderr } = await execute("mount", ["-o", `remount,${options}`, folder]);
  assertEquals(code, 0, stderr);
}

const FULL_AT_START =
  /^dks: cannot \w+ the journal .*: the disk is full; nothing that was acknowledged is lost: make room and start it again, the journal of \d+ MB of keys and values takes up to \d+ MB$/;

/** Makes a file that takes all room that is left on its disk. */
async function fillWith(path: string): Promise<void> {
  using file = await Deno.open(path, { createNew: true, write: true });
  const bytes = new Uint8Array(4096);
  try {
    for (;;) await file.write(bytes);
  } catch (error) {
    assertStringIncludes(String(error), "No space left");
  }
}

/** More than the disk takes. */
const LONG_VALUES_MAX = 100;

/**
 * Writes long values at `port` until `node` says that its disk is full. Returns the keys of those that were
 * acknowledged.
 */
async function fillDisk(port: number, node: NodeProcess): Promise<ByteString[]> {
  const acknowledged: ByteString[] = [];
  for (let number = 0; !node.printed.includes("THE DISK IS FULL"); number++) {
    assert(number < LONG_VALUES_MAX, "the disk is never full");
    const key = `long:${number}`;
    try {
      const reply = await call(loopbackAddress(port), ["SET", key, randomValue()]);
      if (isOk(reply)) acknowledged.push(key);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
    }
  }
  return acknowledged;
}

/** Returns a value of a megabyte that nothing makes shorter. */
function randomValue(): ByteString {
  const bytes = new Uint8Array(1024 * 1024);
  for (let at = 0; at < bytes.length; at += 64 * 1024) {
    crypto.getRandomValues(bytes.subarray(at, at + 64 * 1024));
  }
  return fromBytes(bytes);
}

const mayMount = Deno.build.os === "linux" && Deno.uid() === 0;

Deno.test({
  name:
    "a node with a full disk says so, the others go on without it, and it joins when there is room",
  ignore: !mayMount,
  fn: async () => {
    await withHome(async (env, home) => {
      const disk = `${home}/disk`;
      if (!await mountDisk(disk, 16)) return; // In a container that may not: not to be had here.
      try {
        await fillUp({ env, disk });
      } finally {
        await execute("umount", [disk]);
      }
    });
  },
});

async function fillUp({ env, disk }: { env: Environment; disk: string }): Promise<void> {
  const places = loopback(freePorts(3), await binary());
  const addresses = places.map(({ port }) => loopbackAddress(port));
  const peers = places.map(({ address }) => address).join(",");
  const start = (
    { program, port }: { program: { file: string; args: readonly string[] }; port: number },
  ) => {
    const isSmall = port === places[2]?.port;
    return new NodeProcess({
      program,
      port,
      args: ["--peers", peers],
      storage: [],
      env: isSmall ? { ...env, XDG_DATA_HOME: disk } : env,
    });
  };
  const nodes = places.map(start);
  const workload = new Workload({
    addresses,
    writersPerNode: 2,
    readersPerNode: 1,
    keysPerWriter: 4,
    timeoutMs: CLIENT_TIMEOUT_MS,
    pauseMs: () => REST_MS,
  });
  try {
    await Promise.all(nodes.map((node) => node.untilPrinted(/cluster is complete/)));
    const [first, second, small] = nodes;
    if (first === undefined || second === undefined || small === undefined) throw new Error("3");
    // Long values fill the disk, short ones are checked.
    const acknowledged = await fillDisk(first.port, small);
    assert(acknowledged.length > 0, "some fit");
    const said = await small.untilPrinted(/THE DISK IS FULL/);
    assertMatch(
      said,
      / ERROR .* the journal in .*\/disk\/dks \(port \d+\)\. .* make room, the journal of \d+ MB of keys and values takes up to [12]\d\d MB$/,
    );
    const left = await Promise.any(
      [first, second].map((node) => node.untilPrinted(/ without .*hangs or is full at /)),
    );
    const pause = timeOf(left) - timeOf(said);
    assert(pause < 3000, `the others went on after ${pause} ms`);
    const writes = workload.writes();
    await until("writes go on", () => workload.writes() > writes + 100);
    for (const node of [first, second]) {
      assertEquals((await client(node.port, ["get", acknowledged[0] ?? ""])).code, 0);
    }
    const status = await client(small.port, ["status"]);
    assertStringIncludes(status.stdout, "THE DISK IS FULL");
    const smallAddress = loopbackAddress(small.port);
    assertMatch(
      String(await call(smallAddress, ["INFO", "persistence"])),
      /^journal_trouble:THE DISK IS FULL/m,
    );
    for (const command of [["put", "k", "v"], ["get", "k"]]) {
      assertStringIncludes(
        (await client(small.port, command)).stderr,
        "the disk of this node is full: it takes writes again when there is room",
      );
    }
    await remountDisk(disk, "size=100m");
    await small.untilPrinted(/the disk has room again/);
    await until("it is a member again", async () => {
      const info = String(await call(loopbackAddress(first.port), ["INFO"]));
      return /^members:([^,\n]+,){2}[^,\n]+$/m.test(info);
    });
    assertMatch(
      String(await call(smallAddress, ["INFO", "persistence"])),
      /^journal_trouble:\r?$/m,
    );
    assertEquals(nodes.map((node) => node.hasEnded), [false, false, false]);
    const writesBefore = workload.writes();
    await until("writes go on", () => workload.writes() > writesBefore + 100);
    await workload.stop();
    assertEquals(workload.wrong, []);
    await untilLocksAreFree(addresses);
    await assertAgreement(workload, addresses);
    for (const address of addresses) {
      assertEquals(await call(address, ["EXISTS", ...acknowledged]), acknowledged.length);
    }
    for (const key of workload.keys) {
      const value = Number(await call(addresses[2] ?? loopbackAddress(0), ["GET", key.name]));
      const isRight = value >= key.acknowledged && !key.dead.has(value) || key.unknown.has(value);
      assert(isRight, `${key.name} is ${value}, ${key.acknowledged} was acknowledged`);
    }
  } finally {
    const stopped = workload.stop();
    await Promise.all(nodes.map((node) => node.stop()));
    await stopped;
  }
}

/** When a line of a log was written, in milliseconds since 1970. */
function timeOf(line: string): number {
  return Date.parse(line.slice(0, line.indexOf(" ")));
}

Deno.test({
  name: "a node alone with a full disk goes on with reads, and with writes when there is room",
  ignore: !mayMount,
  fn: async () => {
    await withHome(async (env, home) => {
      const disk = `${home}/disk`;
      if (!await mountDisk(disk, 16)) return;
      const [port = 0] = freePorts(1);
      const own = { ...env, XDG_DATA_HOME: disk };
      const node = await startAlone(port, own);
      try {
        await node.untilPrinted(/cluster is complete/);
        assertEquals((await client(port, ["put", "k", "v"])).code, 0);
        const acknowledged = await fillDisk(port, node);
        for (let attempt = 0; attempt < 3; attempt++) {
          assertStringIncludes(
            (await client(port, ["put", "k", "w"])).stderr,
            "the disk of this node is full",
          );
          assertEquals((await client(port, ["get", "k"])).stdout, "v");
        }
        assertStringIncludes((await client(port, ["status"])).stdout, "THE DISK IS FULL");
        await remountDisk(disk, "size=100m");
        await node.untilPrinted(/the disk has room again/);
        await until(
          "it takes writes",
          async () => isOk(await call(loopbackAddress(port), ["SET", "k", "x"])),
        );
        await node.stop("SIGKILL");
        const again = await startAlone(port, own);
        await again.untilPrinted(/cluster is complete/);
        assertEquals((await client(port, ["get", "k"])).stdout, "x");
        const address = loopbackAddress(port);
        assertEquals(await call(address, ["EXISTS", ...acknowledged]), acknowledged.length);
        await again.stop();
      } finally {
        await node.stop();
        await execute("umount", [disk]);
      }
    });
  },
});

Deno.test({
  name: "a start on a full disk ends with a line, or goes on, and one with room finds everything",
  ignore: !mayMount,
  fn: async () => {
    await withHome(async (env, home) => {
      const disk = `${home}/disk`;
      if (!await mountDisk(disk, 16)) return;
      const [port = 0] = freePorts(1);
      const nodes: NodeProcess[] = [];
      const start = async () => {
        const node = await startAlone(port, { ...env, XDG_DATA_HOME: disk });
        nodes.push(node);
        return node;
      };
      try {
        const node = await start();
        await node.untilPrinted(/cluster is complete/);
        const acknowledged = await fillDisk(port, node);
        await node.stop("SIGKILL");
        await fillWith(`${disk}/something else`);
        // What a start writes may fit into the files that the journal has, by chance: then it goes on.
        const second = await start();
        await until("it has ended, or has started", () => {
          return second.hasEnded || second.printed.includes("the cluster is complete");
        });
        if (second.hasEnded) assertMatch(await refusalOf(second), FULL_AT_START);
        else await second.stop("SIGKILL");
        await remountDisk(disk, "size=100m");
        const again = await start();
        await again.untilPrinted(/cluster is complete/);
        assertEquals(
          await call(loopbackAddress(port), ["EXISTS", ...acknowledged]),
          acknowledged.length,
        );
      } finally {
        await Promise.all(nodes.map((node) => node.stop()));
        await execute("umount", [disk]);
      }
    });
  },
});

Deno.test({
  name: "a node whose data folder can only be read says so, and changes nothing",
  ignore: !mayMount,
  fn: async () => {
    await withHome(async (env, home) => {
      const disk = `${home}/disk`;
      if (!await mountDisk(disk, 16)) return;
      try {
        const [port = 0, other = 0] = freePorts(2);
        const own = { ...env, XDG_DATA_HOME: disk };
        const node = await startAlone(port, own);
        await node.untilPrinted(/cluster is complete/);
        assertEquals((await client(port, ["put", "k", "v"])).code, 0);
        await node.stop();
        await remountDisk(disk, "ro");
        assertMatch(
          await refusalOf(await startAlone(port, own)),
          /^dks: cannot open the journal .*\/disk\/dks \(port \d+\): (it|the file, or its folder,) cannot be /,
        );
        assertMatch(
          await refusalOf(await startAlone(other, own)),
          /^dks: cannot open the journal .*\/disk\/dks \(port \d+\): (it|the file, or its folder,) cannot be /,
        );
        const nowhere = { ...env, XDG_DATA_HOME: `${disk}/no` };
        assertMatch(
          await refusalOf(await startAlone(port, nowhere)),
          /^dks: cannot make the folder .*\/disk\/no\/dks for the data: /,
        );
        await remountDisk(disk, "rw");
        const again = await startAlone(port, own);
        await again.untilPrinted(/: 1 keys, start number 2$/);
        await again.stop();
      } finally {
        await execute("umount", [disk]);
      }
    });
  },
});

// --- Damage ----------------------------------------------------------------------------------

/** How a file may be damaged by hand, and what the node says then. */
const DAMAGE: readonly {
  readonly name: string;
  readonly damage: (file: string) => Promise<void>;
  readonly says: RegExp;
}[] = [
  {
    name: "a value was changed",
    damage: (file) => changeBytes(file, "value of k"),
    says: /^dks: the journal .* is damaged: chunk \d+ of the tail: its checksum is wrong$/,
  },
  {
    name: "the file starts with something else",
    damage: (file) => changeBytes(file, "SQLite format 3"),
    says: /^dks: cannot open the journal .*: file is not a database$/,
  },
  {
    name: "the file was cut in half",
    damage: async (file) => await Deno.truncate(file, (await Deno.stat(file)).size / 2),
    says: /^dks: cannot (open|read) the journal .*: database disk image is malformed$/,
  },
  {
    name: "a chunk in the middle was deleted",
    damage: (file) => deleteKey(file, chunkKey(1)),
    says: /^dks: the journal .* is damaged: chunk 1 of the tail: it is missing$/,
  },
  {
    name: "the manifest was deleted",
    damage: (file) => deleteKey(file, ["dks", "manifest"]),
    says: /^dks: the journal .* is damaged: the manifest: it is no byte array$/,
  },
  {
    name: "what says which journal it is was deleted",
    damage: (file) => deleteKey(file, ["dks", "meta"]),
    says: /^dks: the journal .* is damaged: it lacks its first record$/,
  },
];

/** Changes the first byte of every place in `file` that has `text`. */
async function changeBytes(file: string, text: string): Promise<void> {
  const bytes = await Deno.readFile(file);
  const wanted = new TextEncoder().encode(text);
  let changed = 0;
  for (let at = 0; at + wanted.length <= bytes.length; at++) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) {
      bytes[at] = 0;
      changed++;
    }
  }
  assert(changed > 0, `${text} is in ${file}`);
  await Deno.writeFile(file, bytes);
}

async function deleteKey(file: string, key: Deno.KvKey): Promise<void> {
  using kv = await Deno.openKv(file);
  for await (const entry of kv.list({ prefix: [] })) {
    if (entry.key.slice(1).join() === key.join()) await kv.delete(entry.key);
  }
}

Deno.test("a node whose journal was damaged by hand says what is wrong, and leaves it as it is", async () => {
  await withHome(async (env, home) => {
    const [port = 0] = freePorts(1);
    const node = await startAlone(port, env);
    await node.untilPrinted(/cluster is complete/);
    for (const key of ["j", "k", "l"]) {
      assert(isOk(await call(loopbackAddress(port), ["SET", key, `value of ${key}`])));
    }
    await node.stop();
    const [file = ""] = await databasesBelow(home);
    const whole = await Deno.readFile(file);
    for (const { name, damage, says } of DAMAGE) {
      await damage(file);
      assertMatch(await refusalOf(await startAlone(port, env)), says, name);
      // The same again: the first attempt has not made anything of it. For all kinds of damage that is
      // tested in one process (`kv_journal_test.ts`).
      if (damage === DAMAGE[0]?.damage) {
        assertMatch(await refusalOf(await startAlone(port, env)), says, name);
      }
      await Deno.writeFile(file, whole);
    }
    const last = await startAlone(port, env);
    await last.untilPrinted(/: 3 keys, start number 2$/);
    await last.stop();
  });
});

// --- A journal that is gone ------------------------------------------------------------------

Deno.test("a node alone whose journal was deleted says so, takes no more writes, and can be exported", async () => {
  await withHome(async (env, home) => {
    const [port = 0] = freePorts(1);
    const node = await startAlone(port, env);
    try {
      await node.untilPrinted(/cluster is complete/);
      assertEquals((await client(port, ["put", "k", "v"])).code, 0);
      // A node that does not count yet holds nothing.
      const added = await client(port, ["member", "add", "localhost:1", "--no-wait"]);
      assertEquals(added.code, 0, added.stderr);
      await Deno.remove(`${home}/data`, { recursive: true });
      const line = await node.untilPrinted(/THE JOURNAL IS GONE/);
      assertMatch(line, / ERROR .* from .*\/data\/dks \(port \d+\): .*: export its keys now$/);
      const status = await client(port, ["status"]);
      assertStringIncludes(status.stdout, "THE JOURNAL IS GONE from ");
      const info = String(await call(loopbackAddress(port), ["INFO", "persistence"]));
      assertMatch(info, /^journal_trouble:THE JOURNAL IS GONE from /m);
      const refused = await client(port, ["put", "k", "w"]);
      assertStringIncludes(refused.stderr, "the journal of this node is gone");
      assertEquals((await client(port, ["get", "k"])).stdout, "v");
      assertStringIncludes((await client(port, ["export"])).stdout, '{"key":"k","value":"v"}');
    } finally {
      await node.stop();
    }
    assertEquals(node.printed.match(/THE JOURNAL IS GONE/g)?.length, 1, node.printed);
    // What was looked for is there now, and empty: a start finds a new journal.
    const again = await startAlone(port, env);
    await again.untilPrinted(/: 0 keys, start number 1$/);
    await again.stop();
  });
});

Deno.test("a member whose journal was deleted says so and ends, and joins from empty", async () => {
  await withHome(async (env, home) => {
    const places = loopback(freePorts(3), await binary());
    const peers = places.map(({ address }) => address).join(",");
    const start = (index: number) => {
      const { program, port } = places[index] ?? { program: { file: "", args: [] }, port: 0 };
      const own = { ...env, XDG_DATA_HOME: `${home}/data ${index}` };
      return new NodeProcess({ program, port, args: ["--peers", peers], storage: [], env: own });
    };
    const nodes = [0, 1, 2].map(start);
    try {
      await Promise.all(nodes.map((node) => node.untilPrinted(/cluster is complete/)));
      const [port = 0] = places.map((place) => place.port);
      assertEquals((await client(port, ["put", "k", "v"])).code, 0);
      await Deno.remove(`${home}/data 2`, { recursive: true });
      assertMatch(
        await refusalOf(nodes[2] ?? start(2)),
        /^dks: THE JOURNAL IS GONE from .*\/data 2\/dks \(port \d+\): its files were deleted or replaced$/,
      );
      assertEquals((await client(port, ["put", "k", "w"])).code, 0);
      const again = nodes[2] = start(2);
      await again.untilPrinted(/: 0 keys, start number 1$/);
      await again.untilPrinted(/cluster is complete/);
      assertEquals((await client(again.port, ["get", "k"])).stdout, "w");
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
    }
  });
});

// --- Somewhere else --------------------------------------------------------------------------

/** Makes a binary that may use `folder`. */
async function binaryFor(folder: string): Promise<string> {
  const root = new URL("../../", import.meta.url);
  const path = `${folder}/../dks`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compile", "--data", folder, "--output", path],
    cwd: root,
    stdout: "null",
    stderr: "piped",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return path;
}

Deno.test("a binary compiled for a folder keeps journals there, and nowhere else", async () => {
  await withHome(async (env, home) => {
    const folder = `${home}/journals`;
    await Deno.mkdir(`${folder}/sub`, { recursive: true });
    await Deno.mkdir(`${home}/other`);
    const program = { file: await binaryFor(folder), args: [] };
    const [port = 0, other = 0] = freePorts(2);
    const start = (path: string, at = port) => {
      return new NodeProcess({ program, port: at, args: [], storage: ["--data", path], env });
    };

    // A folder has a file for each port; a file is what it says.
    const cases = [
      { path: folder, at: port, file: `${folder}/dks-${port}.kv` },
      { path: `${folder}/`, at: other, file: `${folder}/dks-${other}.kv` },
      { path: `${folder}/sub/one.kv`, at: port, file: `${folder}/sub/one.kv` },
    ];
    for (const { path, at, file } of cases) {
      const first = start(path, at);
      await first.untilPrinted(/cluster is complete/);
      assertStringIncludes(first.printed, `journal in ${file}: 0 keys`);
      assertEquals((await client(at, ["put", "k", file])).code, 0);
      await first.stop("SIGKILL");
      const second = start(path, at);
      await second.untilPrinted(/journal in .*: 1 keys, start number 2/);
      assertEquals((await client(at, ["get", "k"])).stdout.trim(), file);
      await second.stop();
    }

    // Databases of others are left as they are.
    const text = `${folder}/text`;
    const foreign = `${folder}/foreign.sqlite3`;
    const foreignKv = `${folder}/foreign.kv`;
    await Deno.writeTextFile(text, "not a database, though long enough to be mistaken for one\n");
    const database = new DatabaseSync(foreign);
    database.exec("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
    database.close();
    {
      using kv = await Deno.openKv(foreignKv);
      await kv.set(["mine"], 1);
    }
    const refused: readonly [path: string, says: string][] = [
      [text, `cannot open the journal ${text}: file is not a database`],
      [foreign, `the database ${foreign} holds the data of another program`],
      [foreignKv, `the database ${foreignKv} holds the data of another program`],
      [`${folder}/no/such.kv`, `there is no folder ${folder}/no`],
      ...[`${home}/other`, `${home}/other/file.kv`, `${folder}/../other`].map((path) =>
        [
          path,
          `cannot open the journal ${path}: this program may not use files there, ` +
          `one made by "deno task compile --data ${path}" may`,
        ] as [string, string]
      ),
    ];
    for (const [path, says] of refused) {
      const before = await Deno.readFile(path).catch(() => undefined);
      assertStringIncludes(await refusalOf(start(path)), says);
      assertEquals(await Deno.readFile(path).catch(() => undefined), before, path);
    }
    assertEquals(await Array.fromAsync(Deno.readDir(`${home}/other`)), []);
    assertEquals(
      await Array.fromAsync(Deno.readDir(home)).then((all) => all.map(({ name }) => name).sort()),
      ["dks", "journals", "other"],
    );
  });
});

/** Exchanges the journals of two ports in `folder`: the database and what SQLite has beside it. */
async function swapJournals(folder: string, ports: readonly [number, number]): Promise<void> {
  const [a, b] = ports.map((port) => `dks-${port}.kv`);
  if (a === undefined || b === undefined) return;
  for await (const { name } of Deno.readDir(folder)) {
    const [of, other] = name.startsWith(a) ? [a, b] : [b, a];
    if (!name.startsWith(of)) continue;
    await Deno.rename(`${folder}/${name}`, `${folder}/swapped-${other}${name.slice(of.length)}`);
  }
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith("swapped-")) continue;
    await Deno.rename(`${folder}/${name}`, `${folder}/${name.slice("swapped-".length)}`);
  }
}

Deno.test("nodes with each other's journal end with a line, and lose nothing", async () => {
  await withHome(async (env, home) => {
    const folder = `${home}/journals`;
    await Deno.mkdir(folder);
    // From the source with the permission for that folder, as a binary is that is made for it.
    const args = FROM_SOURCE.args.toSpliced(
      1,
      0,
      `--allow-read=${folder}`,
      `--allow-write=${folder}`,
    );
    const places = loopback(freePorts(3), { ...FROM_SOURCE, args });
    const [one = 0, two = 0] = places.map(({ port }) => port);
    const storage = ["--data", folder];
    const start = () => LocalCluster.start({ places, storage, env });
    let cluster = await start();
    try {
      assertEquals((await client(one, ["put", "k", "v"])).code, 0);
      await cluster.stop();
      await swapJournals(folder, [one, two]);
      const peers = places.map(({ address }) => address).join(",");
      const wrong = places.slice(0, 2).map(({ program, port }) =>
        new NodeProcess({ program, port, args: ["--peers", peers], storage, env })
      );
      for (const [index, node] of wrong.entries()) {
        const own = places[index]?.address;
        const other = places[1 - index]?.address;
        assertStringIncludes(
          await refusalOf(node),
          `dks: the journal in ${folder}/dks-${node.port}.kv is that of ${other}, ` +
            `and this node is ${own}: give each node its own`,
        );
      }
      await swapJournals(folder, [one, two]);
      cluster = await start();
      assertEquals((await client(two, ["get", "k"])).stdout, "v");
    } finally {
      await cluster.stop();
    }
  });
});

Deno.test("the ordinary binary cannot keep a journal in a chosen folder", async () => {
  await withHome(async (env, home) => {
    const [port = 0] = freePorts(1);
    const node = new NodeProcess({
      program: await binary(),
      port,
      args: [],
      storage: ["--data", home],
      env,
    });
    assertEquals(
      await refusalOf(node),
      `dks: cannot open the journal ${home}: this program may not use files there, ` +
        `one made by "deno task compile --data ${home}" may`,
    );
  });
});

// --- Where data is ---------------------------------------------------------------------------

Deno.test("nodes keep their data in the data folder of the user, each in a place of its own", async () => {
  await withHome(async (_env, home) => {
    const program = { file: await binary().then(({ file }) => file), args: [] };
    const [one = 0, two = 0] = freePorts(2);
    const strange = `${home}/spaces in it, ünïcödé %41 #1 ?`;
    await Deno.mkdir(strange);
    const cases = [
      { own: { HOME: home }, data: `${home}/.local/share` },
      { own: { HOME: home, XDG_DATA_HOME: `${home}/mine` }, data: `${home}/mine` },
      { own: { HOME: home, XDG_DATA_HOME: "not/absolute" }, data: `${home}/.local/share` },
      { own: { HOME: strange }, data: `${strange}/.local/share` },
    ];
    for (const { own, data } of cases) {
      const env = { XDG_DATA_HOME: "", XDG_CACHE_HOME: `${home}/cache`, ...own };
      await Deno.remove(data, { recursive: true }).catch(() => {});
      for (const port of [one, two]) {
        const node = new NodeProcess({ program, port, args: [], storage: [], env });
        await node.untilPrinted(/cluster is complete/);
        assertStringIncludes(node.printed, `journal in ${data}/dks (port ${port}): 0 keys`);
        assertEquals((await client(port, ["put", "k", "v"])).code, 0);
        await node.stop();
      }
      assertEquals((await databasesBelow(data)).length, 2);
      assertEquals(await databasesBelow(`${home}/cache`), [], "never in a cache");
    }
  });
});

Deno.test("a node that has no home says so, and a client needs none", async () => {
  await withHome(async (_env, home) => {
    const { file } = await binary();
    const env = { PATH: "/usr/bin:/bin", TMPDIR: home };
    const ended = await execute(file, ["serve"], { env });
    assertEquals([ended.code, ended.stderr], [
      1,
      "dks: no folder for the data: set HOME or XDG_DATA_HOME to a folder of yours, " +
      "or say --ephemeral\n",
    ]);
    assertEquals((await execute(file, ["serve", "--help"], { env })).code, 0);
    const [port = 0] = freePorts(1);
    const asked = await execute(file, ["client", "-p", String(port), "get", "k"], { env });
    assertMatch(asked.stderr, /^dks: cannot reach /);
  });
});
