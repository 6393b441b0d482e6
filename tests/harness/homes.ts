/**
 * Homes for nodes: where they keep their data.
 *
 * @module
 */

/** Where programs unpack themselves: for all tests together, as it takes longer than a start. */
const CACHE = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;

/** Gives `use` an environment in which programs have an empty HOME. */
export async function withHome(
  use: (env: Readonly<Record<string, string>>, home: string) => Promise<void>,
): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "dks-home-" });
  const env = { HOME: home, XDG_DATA_HOME: `${home}/data`, XDG_CACHE_HOME: CACHE };
  try {
    await use(env, home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

/** Returns the database files below `folder`, as paths. */
export async function databasesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await databasesBelow(path));
    else if (name === "kv.sqlite3") found.push(path);
  }
  return found.sort();
}
