// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * Shows that a binary works on this system: three nodes, a value through all of them, a replayed
 * operations file. `smoke.ts ./dks`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { freePorts, LocalCluster, loopback } from "../tests/harness/cluster.ts";

const [file] = Deno.args;
if (file === undefined) {
  console.error("usage: smoke.ts BINARY");
  Deno.exit(2);
}
const program = { file: await Deno.realPath(await withSuffix(file)), args: [] };
const ports = freePorts(3);
const cluster = await LocalCluster.start({ places: loopback(ports, program) });
try {
  const [one = 0, two = 0, three = 0] = ports;
  assertEquals((await client(one, ["put", "greeting", "hello"])).code, 0);
  assertEquals((await client(two, ["get", "greeting"])).output, "hello");
  const operations = await Deno.readFile(new URL("../examples/operations.csv", import.meta.url));
  const run = await client(three, ["run"], operations);
  console.log(run.output);
  assertEquals(run.code, 0);
} finally {
  await cluster.stop();
}
console.log(`${file} works`);

/** On Windows the binary has a suffix that its maker does not name. */
async function withSuffix(path: string): Promise<string> {
  try {
    await Deno.stat(path);
    return path;
  } catch {
    return `${path}.exe`;
  }
}

async function client(
  port: number,
  args: readonly string[],
  input: Uint8Array = new Uint8Array(),
): Promise<{ code: number; output: string }> {
  const process = new Deno.Command(program.file, {
    args: ["client", "-s", "127.0.0.1", "-p", String(port), ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(input);
  await writer.close();
  const { code, stdout } = await process.output();
  return { code, output: new TextDecoder().decode(stdout) };
}
