/** The binary as `deploy/` runs it: a user that is not root, without capabilities, on a read-only root. */

import { assertEquals, assertMatch } from "@std/assert";
import { binaryPath } from "../harness/binary.ts";
import { freePorts, NodeProcess } from "../harness/cluster.ts";
import { client, execute, isInstalled } from "../harness/processes.ts";

const IS_ROOT = Deno.build.os === "linux" && Deno.uid() === 0;
const MAY_MOUNT = IS_ROOT && isInstalled("setpriv") && isInstalled("unshare") &&
  (await execute("unshare", ["--mount", "mount", "-o", "remount,bind,ro", "/"])).code === 0;

const USER = ["--reuid=65532", "--regid=65532", "--clear-groups"];
const CONFINED = [...USER, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"];

/** Makes all read-only but the folder of the journal, and runs the program behind `$1` there. */
const SCRIPT = `set -e
mount --bind "$1/data" "$1/data"
mount -o remount,bind,ro /
if touch "$1/cache/x" 2>/dev/null; then echo "the root can be written"; exit 9; fi
shift
exec setpriv "$@"`;

Deno.test({
  name: "a node runs as another user on a read-only root, and keeps its journal in one folder",
  ignore: !MAY_MOUNT,
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "dks-restricted-" });
    try {
      await Deno.chmod(folder, 0o755);
      const path = `${folder}/dks`;
      await Deno.copyFile(await binaryPath(), path);
      await Deno.chmod(path, 0o755);
      for (const name of ["data", "cache"]) {
        await Deno.mkdir(`${folder}/${name}`, { mode: 0o700 });
        await Deno.chown(`${folder}/${name}`, 65532, 65532);
      }
      const env = { XDG_DATA_HOME: `${folder}/data`, XDG_CACHE_HOME: `${folder}/cache` };
      // As the Dockerfile does it: what is portable unpacks once, before all is read-only.
      const unpacked = await execute("setpriv", [...USER, path, "--version"], {
        env: { ...env, PATH: Deno.env.get("PATH") ?? "" },
      });
      assertEquals([unpacked.code, unpacked.stderr], [0, ""]);
      const [port = 0] = freePorts(1);
      const start = () =>
        new NodeProcess({
          program: {
            file: "unshare",
            args: ["--mount", "sh", "-c", SCRIPT, "sh", folder, ...CONFINED, path],
          },
          port,
          args: [],
          storage: [],
          env,
        });
      for (const expected of ["not found: k\n", ""]) {
        const node = start();
        try {
          await node.untilPrinted(/cluster is complete/);
          assertEquals((await client(port, ["get", "k"])).stderr, expected);
          assertEquals((await client(port, ["put", "k", "kept"])).code, 0);
          const status = await Deno.readTextFile(`/proc/${node.pid}/status`);
          assertMatch(status, /^Uid:\t65532\t65532\t65532\t65532$/m);
          assertMatch(status, /^CapEff:\t0+$/m);
          node.signal("SIGTERM");
          assertEquals(await node.untilEnded(), 0);
        } finally {
          await node.stop();
        }
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
