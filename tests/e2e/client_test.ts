/** `dks client` against a real cluster. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../harness/cluster.ts";
import { binary, binaryPath } from "../harness/binary.ts";
import { client, execute, isInstalled } from "../harness/processes.ts";
import { Terminal } from "../harness/terminal.ts";

const OPERATIONS = await Deno.readTextFile(
  new URL("../../examples/operations.csv", import.meta.url),
);

Deno.test("dks client against a cluster of three", async (t) => {
  const ports = freePorts(3);
  const cluster = await LocalCluster.start({ places: loopback(ports, await binary()) });
  const [one = 0, two = 0, three = 0] = ports;
  try {
    await t.step("put, get, exists, delete have results and exit codes", async () => {
      const put = await client(one, ["put", "greeting", "hello wörld"]);
      assertEquals([put.code, put.stdout, put.stderr], [0, "", ""]);
      const get = await client(two, ["get", "greeting"]);
      assertEquals([get.code, get.stdout, get.stderr], [0, "hello wörld", ""]);
      assertEquals((await client(three, ["exists", "greeting"])).stdout, "yes\n");
      assertEquals((await client(two, ["delete", "greeting"])).code, 0);
      const gone = await client(three, ["get", "greeting"]);
      assertEquals([gone.code, gone.stdout, gone.stderr], [1, "", "not found: greeting\n"]);
      const absent = await client(one, ["exists", "greeting"]);
      assertEquals([absent.code, absent.stdout], [1, "no\n"]);
      assertEquals((await client(one, ["delete", "greeting"])).code, 1);
    });

    await t.step("a value of any bytes goes in and out through pipes", async () => {
      const value = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) % 256);
      assertEquals((await client(one, ["put", "blob", "-"], value)).code, 0);
      assertEquals((await client(three, ["get", "blob"])).bytes, value);
    });

    await t.step("a value that is too large is refused with the node's own words", async () => {
      const ended = await client(one, ["put", "k", "-"], new Uint8Array(17 * 1024 * 1024));
      assertEquals([ended.code, ended.stdout], [3, ""]);
      assertMatch(
        ended.stderr,
        /^dks: ERR Protocol error: invalid bulk length: 17825792 bytes, at/,
      );
    });

    await t.step("output that is not read to its end is not reported as an error", async () => {
      const line = `${await binaryPath()} client -s 127.0.0.1 -p ${one} get blob | head -c 10`;
      const ended = await execute("sh", ["-c", line]);
      assertEquals([ended.code, ended.bytes.length, ended.stderr], [0, 10, ""]);
    });

    await t.step("--json prints every result as JSON, with the same exit codes", async () => {
      const json = async (...words: readonly string[]) => {
        const { code, stdout, stderr } = await client(one, ["--json", ...words]);
        assertEquals(stderr, "", words.join(" "));
        return [code, JSON.parse(stdout)];
      };
      assertEquals(await json("put", "j", "ö"), [0, { key: "j", isSet: true }]);
      assertEquals(await json("get", "j"), [0, { key: "j", value: "ö" }]);
      assertEquals(await json("exists", "j"), [0, { key: "j", exists: true }]);
      assertEquals(await json("delete", "j", "absent"), [0, { deleted: 1 }]);
      assertEquals(await json("delete", "j"), [1, { deleted: 0 }]);
      assertEquals(await json("get", "j"), [1, { key: "j", value: null }]);
      assertEquals(await json("exists", "j"), [1, { key: "j", exists: false }]);
      assertEquals((await client(one, ["put", "b", "-"], Uint8Array.of(255))).code, 0);
      assertEquals(await json("get", "b"), [0, { key: "b", value64: "/w==" }]);
      assertEquals(await json("raw", "MGET", "b", "absent"), [0, [{ base64: "/w==" }, null]]);
      const [code, outcome] = await json("outcome", "0.1.1.000000");
      assertEquals([code, outcome.transaction], [3, "0.1.1.000000"]);
      assertMatch(outcome.outcome, /./);
      assertEquals(await json("wait-ready"), [0, { isReady: true, reasons: [] }]);
      const [, status] = await json("status");
      assertEquals(status.nodes.length, 3);
      const [, glance] = await json("top");
      assertEquals(glance.status.view, status.view);
      const [, list] = await json("member", "list");
      assertEquals(list.view, status.view);
      const file = await client(one, ["export"]);
      const imported = await client(one, ["--json", "import"], file.stdout);
      assertEquals(imported.stdout, '{"imported":2}\n');
      assertEquals((await client(one, ["delete", "b"])).code, 0);
      const wrong = await client(one, ["--json", "raw", "nonsense"]);
      assertEquals([wrong.code, wrong.stdout], [3, ""]);
      assertMatch(wrong.stderr, /^dks: ERR unknown command/);
      const watching = new Deno.Command(await binaryPath(), {
        args: ["client", "-s", "127.0.0.1", "-p", String(one), "watch", "--json"],
        stdout: "piped",
      }).spawn();
      const reader = watching.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const { value = "" } = await reader.read();
      const [first = ""] = value.split("\n");
      assertMatch(JSON.parse(first).change, /^view \d+ with /);
      watching.kill("SIGTERM");
      await watching.status;
      await reader.cancel();
    });

    await t.step("raw sends any command", async () => {
      assertEquals((await client(one, ["raw", "MSET", "a", "1", "b", "2"])).stdout, "OK\n");
      const mget = await client(two, ["raw", "mget", "a", "x", "b"]);
      assertEquals(mget.stdout, '1) "1"\n2) (not found)\n3) "2"\n');
      const wrong = await client(two, ["raw", "nonsense"]);
      assertEquals([wrong.code, wrong.stdout], [3, ""]);
      assertMatch(wrong.stderr, /^dks: ERR unknown command 'nonsense'/);
    });

    await t.step("wrong usage ends with code 2 and one line", async () => {
      for (const args of [["put", "k"], ["frob"], ["get"], ["run", "--frob"], ["-x"]]) {
        const ended = await client(one, args);
        assertEquals([ended.code, ended.stdout], [2, ""], args.join(" "));
        assertMatch(ended.stderr, /^dks: [^\n]+\n$/);
      }
    });

    await t.step("a node that cannot be reached ends with code 3 and one line", async () => {
      const [closed = 0] = freePorts(1);
      const ended = await client(closed, ["get", "k"]);
      assertEquals([ended.code, ended.stdout], [3, ""]);
      assertMatch(ended.stderr, /^dks: cannot reach 127\.0\.0\.1:\d+: [^\n]+\n$/);
    });

    await t.step("run replays the operations file", async () => {
      const ended = await client(two, ["run"], OPERATIONS);
      assertEquals([ended.code, ended.stderr], [0, ""]);
      assertMatch(ended.stdout, /^PUT +80 +0 +0 /m);
      assertMatch(ended.stdout, /^GET +60 +\d+ +0 /m);
      assertMatch(ended.stdout, /^DELETE +10 +1 +0 /m);
      assertMatch(ended.stdout, /150 operations in [\d.]+ s: [\d,]+ operations\/s/);
      for (const line of ended.stdout.split("\n")) assertEquals(line.length <= 80, true, line);
    });

    await t.step("run has connections, a pipeline, repeats, and JSON", async () => {
      const args = ["run", "--connections", "3", "--pipeline", "4", "--repeat", "5", "--json"];
      const report = JSON.parse((await client(three, args, OPERATIONS)).stdout);
      assertEquals([report.count, report.failed], [750, 0]);
      const again = JSON.parse(
        (await client(one, ["run", "--reconnect", "--json"], OPERATIONS))
          .stdout,
      );
      assertEquals([again.count, again.failed], [150, 0]);
    });

    await t.step("bench measures SETs and GETs at all nodes of the list", async () => {
      const all = ports.map((port) => `127.0.0.1:${port}`).join(",");
      const path = await binaryPath();
      const load = ["--duration", "500ms", "--clients", "6", "--pipeline", "2", "--keys", "10"];
      const ended = await execute(path, ["client", "-s", all, "bench", ...load, "--json"]);
      assertEquals([ended.code, ended.stderr], [0, ""]);
      const report = JSON.parse(ended.stdout);
      assertEquals([report.failed, report.commands.length], [0, 2]);
      assertEquals(report.perSecond > 0 && report.commands[0].percentiles["99"] > 0, true);
      const text = await client(one, ["bench", ...load, "--rate", "100", "--ratio", "1:0"]);
      assertEquals([text.code, text.stderr], [0, ""]);
      assertMatch(
        text.stdout,
        /^SET +\d+ +0( +[\d.]+){6}\n\n[\d.]+ requests\/s, of 100 asked for/m,
      );
      for (const line of text.stdout.split("\n")) assertEquals(line.length <= 80, true, line);
      const wrong = await client(one, ["bench", ...load, "--command", "GET one two"]);
      assertEquals(wrong.code, 3);
      assertMatch(wrong.stdout, /^failed: \d+ ERR$/m);
      for (
        const [flag, value] of [["--ratio", "0:0"], ["--rate", "0"], ["--command", '"'], ["x", "y"]]
      ) {
        const refused = await client(one, ["bench", flag ?? "", value ?? ""]);
        assertEquals([refused.code, refused.stdout], [2, ""], flag);
        assertMatch(refused.stderr, /^dks: [^\n]+\n$/);
      }
    });

    await t.step({
      name: "bench shows each second at a terminal, and reports what it has at Ctrl-C",
      ignore: !await isInstalled("script"),
      fn: async () => {
        // A shell that stays would be interrupted, too.
        const line =
          `exec ${await binaryPath()} client -p ${one} -s 127.0.0.1 bench --duration 10m`;
        const terminal = new Terminal(line);
        await terminal.until(/1 s {2}[\d.,]+\/s {2}p50 [\d.,]+ ms {2}p99 [\d.,]+ ms {2}errors 0/);
        await terminal.type("\x03");
        await terminal.until(/requests\/s, in [\d.]+ s/);
        assertEquals(await terminal.ended(), 0);
      },
    });

    await t.step("run does nothing when a line is bad, and names it", async () => {
      const ended = await client(one, ["run"], "PUT,new,1\nPUT,bad\n");
      assertEquals([ended.code, ended.stdout], [2, ""]);
      assertEquals(ended.stderr, "dks: nothing was run: line 2: PUT needs a value\n");
      assertEquals((await client(one, ["get", "new"])).code, 1);
    });

    await t.step(
      "wait-ready waits until the nodes of the list are members with a lease",
      async () => {
        const all = ports.map((port) => `127.0.0.1:${port}`).join(",");
        const path = await binaryPath();
        const ready = await execute(path, ["client", "-s", all, "wait-ready"]);
        assertEquals([ready.code, ready.stdout, ready.stderr], [0, "", ""]);
        const [closed = 0] = freePorts(1);
        const list = `127.0.0.1:${one},127.0.0.1:${closed}`;
        const not = await execute(path, ["client", "-s", list, "wait-ready", "--timeout", "300ms"]);
        assertEquals([not.code, not.stdout], [3, ""]);
        const reason = `not ready after 300ms: 127.0.0.1:${closed}: cannot reach`;
        assertMatch(not.stderr, new RegExp(`^dks: ${reason}[^\n]+\n$`));
        const wrong = await client(one, ["wait-ready", "--timeout", "soon"]);
        assertEquals(wrong.code, 2);
      },
    );

    await t.step("top writes the cluster once into a pipe", async () => {
      const { code, stdout } = await client(one, ["top"]);
      assertEquals([code, stdout.includes("\x1b")], [0, false]);
      assertMatch(stdout, /^view 1, 3 of 3 nodes up, complete/);
      assertMatch(stdout, /^[\d,.]+ requests\/s at all nodes, 0 in doubt$/m);
      assertMatch(stdout, /^times at 127\.0\.0\.1:\d+\ncommand +median ms +p99 ms$/m);
    });

    await t.step({
      name: "top draws in place at a terminal, within its size, until q",
      ignore: !await isInstalled("script"),
      fn: async () => {
        const path = await binaryPath();
        const line = `stty rows 9 cols 40; ${path} client -p ${one} -s 127.0.0.1 top`;
        const terminal = new Terminal(line);
        await terminal.until("\x1b[?1049h"); // A screen of its own.
        for (let times = 0; times < 2; times++) {
          await terminal.until("\x1b[H");
          // Eight line ends, each behind at most 40 characters; then the rest is cleared.
          await terminal.until(
            // deno-lint-ignore no-control-regex
            /^view 1, [^\r\n]{1,32}\x1b\[K(\r+\n[^\r\n]{0,40}\x1b\[K){8}\x1b\[J/,
          );
        }
        await terminal.type("q");
        await terminal.until("\x1b[?1049l");
        assertEquals(await terminal.ended(), 0);
      },
    });

    await t.step({
      name: "top draws at a terminal until Ctrl-C if its input is none, as with --cacert -",
      ignore: !isInstalled("script"),
      fn: async () => {
        const path = await binaryPath();
        const terminal = new Terminal(
          `exec ${path} client -p ${one} -s 127.0.0.1 top < /dev/null`,
        );
        await terminal.until("\x1b[?1049h");
        for (let times = 0; times < 2; times++) await terminal.until("\x1b[Hview 1, ");
        await terminal.type("\x03");
        await terminal.until("\x1b[?1049l");
        assertEquals(await terminal.ended(), 0);
      },
    });

    await t.step("colours are for terminals, and NO_COLOR has none there either", async () => {
      const line = `${await binaryPath()} client -s 127.0.0.1 -p ${one} status`;
      const at = async (env: Record<string, string>) =>
        (await execute("script", ["-qec", line, "/dev/null"], {
          env: { PATH: Deno.env.get("PATH") ?? "", HOME: Deno.env.get("HOME") ?? "", ...env },
        })).stdout.includes("\x1b[");
      if (await isInstalled("script")) {
        assertEquals([await at({}), await at({ NO_COLOR: "1" })], [true, false]);
      }
      assertEquals((await client(one, ["status"])).stdout.includes("\x1b["), false);
    });

    await t.step("status shows all nodes", async () => {
      const ended = await client(two, ["status"]);
      assertMatch(
        ended.stdout,
        /^view 1, 3 of 3 nodes up, complete, up for \d+ s\nephemeral: nothing is stored\n/,
      );
      for (const port of ports) assertStringIncludes(ended.stdout, `127.0.0.1:${port}`);
    });

    await t.step("the prompt reads commands from a pipe", async () => {
      const input =
        'put k "two words"\nget k\n\nget nothing\ndelete k nothing\nhelp\nexit\nget k\n';
      const ended = await client(one, [], input);
      assertEquals([ended.code, ended.stderr], [0, ""]);
      const [ok, value, missing, deleted, ...help] = ended.stdout.split("\n");
      assertEquals([ok, value, missing, deleted], ["OK", '"two words"', "(not found)", "1"]);
      assertMatch(help.join("\n"), /^put KEY VALUE/);
    });

    await t.step("the prompt tells a script that something failed", async () => {
      const ended = await client(one, [], 'put k\nput "k\nput k v\n');
      assertEquals(ended.code, 3);
      assertMatch(ended.stdout, /wrong number of arguments for 'put' command[^]*OK/);
      assertEquals(ended.stderr, "the quotes are not balanced\n");
    });

    await t.step({
      name: "the prompt edits lines and keeps a history at a terminal",
      ignore: !isInstalled("script"),
      fn: async () => {
        const terminal = new Terminal(`${await binaryPath()} client -p ${one} -s 127.0.0.1`);
        const prompt = `127.0.0.1:${one}> `;
        await terminal.until(`Connected to 127.0.0.1:${one}`);
        await terminal.until(prompt);
        await terminal.type("put k terminal\r");
        await terminal.until(/OK \(.*ms\)/);
        await terminal.until(prompt);
        await terminal.type("get k\r");
        await terminal.until(/"terminal" \(.*ms\)/);
        await terminal.until(prompt);
        await terminal.type("\x1b[A\r"); // The arrow up brings back the line before.
        await terminal.until(/"terminal" \(.*ms\)/);
        await terminal.until(prompt);
        await terminal.type("rubbish\x15get nothing\r"); // Ctrl-U throws the line away.
        await terminal.until(/\(not found\) \(.*ms\)/);
        await terminal.until(prompt);
        await terminal.type("setn");
        await terminal.until("setn");
        await terminal.type("\t"); // Alone, as a key is: a pasted tab completes nothing.
        await terminal.until("x");
        await terminal.type(" kk 5\r");
        await terminal.until(/1 \(.*ms\)/);
        await terminal.until(prompt);
        await terminal.type("\x04"); // Ctrl-D on an empty line ends the prompt.
        assertEquals(await terminal.ended(), 0);
      },
    });
  } finally {
    await cluster.stop();
  }
});
