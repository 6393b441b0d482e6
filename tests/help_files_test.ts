/** What is made from the texts of `--help`, by the programs that read it. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { CLIENT_HELP } from "../src/client/client.ts";
import { SERVE_HELP } from "../src/node/serve.ts";
import {
  bashCompletions,
  commandsIn,
  fishCompletions,
  manPage,
  optionsIn,
  zshCompletions,
} from "./harness/help_files.ts";
import { execute, isInstalled } from "./harness/processes.ts";

Deno.test("optionsIn() and commandsIn() find what the help describes", () => {
  assertEquals(optionsIn(SERVE_HELP).slice(0, 3), ["--config", "--port", "--host"]);
  assertEquals(optionsIn(SERVE_HELP).at(-1), "--help");
  assertEquals(commandsIn(CLIENT_HELP).slice(0, 3), ["put", "get", "delete"]);
  assertEquals(commandsIn(CLIENT_HELP).includes("wait-ready"), true);
});

Deno.test({
  name: "the man page is good for man, and has the help as it is",
  ignore: !isInstalled("groff"),
  fn: async () => {
    const args = ["-man", "-Tascii", "-ww", "-rLL=200n", "-P-c", "-P-b", "-P-u"];
    const { code, stdout, stderr } = await execute("groff", args, { input: manPage() });
    assertEquals([code, stderr], [0, ""]);
    const shown = stdout.split("\n").map((line) => line.trim());
    for (const help of [SERVE_HELP, CLIENT_HELP]) {
      for (const line of help.split("\n")) {
        assertEquals(shown.includes(line.trim()), true, line);
      }
    }
    assertStringIncludes(stdout, "a distributed key store");
  },
});

/** Returns what bash offers for the last of `words`. */
async function offered(...words: readonly string[]): Promise<string[]> {
  const script = `${bashCompletions()}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dks; echo "\${COMPREPLY[*]}"`;
  const { code, stdout, stderr } = await execute("bash", ["-c", script, "bash", ...words]);
  assertEquals([code, stderr], [0, ""]);
  return stdout.trim().split(" ").filter((word) => word !== "");
}

Deno.test({
  name: "bash completes commands and options",
  ignore: !isInstalled("bash"),
  fn: async () => {
    assertEquals(await offered("dks", ""), ["serve", "client", "--help", "--version"]);
    assertEquals(await offered("dks", "serve", "--p"), ["--port", "--peers", "--plain-peers"]);
    assertEquals(await offered("dks", "client", "-s", "n1", "wa"), ["wait-ready", "watch"]);
    assertEquals(await offered("dks", "client", "--server", ""), []);
    assertEquals(await offered("dks", "client", "--tls", "--cacert", "-", "wa"), [
      "wait-ready",
      "watch",
    ]);
    assertEquals(await offered("dks", "client", "wait-ready", "-"), ["--timeout"]);
    assertEquals(await offered("dks", "client", "-p", "1", "status", "--"), ["--json"]);
    assertEquals((await offered("dks", "client", "run", "--")).length, 5);
    assertEquals(await offered("dks", "client", "get", ""), []);
  },
});

/** Returns what zsh is told to offer at the last of `words`, whatever it begins with. */
async function offeredByZsh(...words: readonly string[]): Promise<string[]> {
  const script = `compadd() { shift; print -r -- "$@" }
words=("$@"); CURRENT=$#; set --
${zshCompletions()}`;
  const { code, stdout, stderr } = await execute("zsh", ["-f", "-c", script, "zsh", ...words]);
  assertEquals([code, stderr], [0, ""]);
  return stdout.trim().split(" ").filter((word) => word !== "");
}

Deno.test({
  name: "zsh completes commands and options",
  ignore: !isInstalled("zsh"),
  fn: async () => {
    assertEquals(await offeredByZsh("dks", ""), ["serve", "client", "--help", "--version"]);
    assertEquals(await offeredByZsh("dks", "serve", ""), optionsIn(SERVE_HELP));
    assertEquals((await offeredByZsh("dks", "client", "-s", "n1", "")).includes("watch"), true);
    assertEquals(await offeredByZsh("dks", "client", "--server", ""), []);
    assertEquals(await offeredByZsh("dks", "client", "--cacert", "-", "status", ""), ["--json"]);
    assertEquals(await offeredByZsh("dks", "client", "get", ""), []);
  },
});

Deno.test({
  name: "fish completes commands and options",
  ignore: !isInstalled("fish"),
  fn: async () => {
    const offeredByFish = async (line: string) => {
      const script = `source -; complete -C ${JSON.stringify(line)}`;
      const args = ["--no-config", "-c", script];
      const { code, stdout, stderr } = await execute("fish", args, { input: fishCompletions() });
      assertEquals([code, stderr], [0, ""]);
      return stdout.trim().split("\n").filter((word) => word !== "");
    };
    assertEquals(await offeredByFish("dks "), ["client", "serve"]);
    assertEquals(await offeredByFish("dks serve --p"), ["--peers", "--plain-peers", "--port"]);
    assertEquals(await offeredByFish("dks client --server n1 wa"), ["wait-ready", "watch"]);
    assertEquals(await offeredByFish("dks client wait-ready --"), ["--timeout"]);
    assertEquals(await offeredByFish("dks client status --"), ["--json"]);
    assertEquals(await offeredByFish("dks client get "), []);
  },
});
