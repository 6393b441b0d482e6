/**
 * The files of `deploy/`, for tests of them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { execute, isInstalled } from "./processes.ts";

const DEPLOY = new URL("../../deploy/", import.meta.url);

/** Returns the text of a file of `deploy/`. */
export async function deployFile(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(name, DEPLOY));
}

/** Whether there is a program that reads YAML. */
export const HAS_YAML: boolean = isInstalled("python3") &&
  (await execute("python3", ["-c", "import yaml"])).code === 0;

/** Returns the documents of a YAML file, read by a program that knows all of YAML. */
export async function documentsOf(name: string): Promise<unknown[]> {
  const script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
  const { code, stdout, stderr } = await execute("python3", ["-c", script], {
    input: await deployFile(name),
  });
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}
