/** docs/upgrade.md has the versions that the program has. */

import { assertEquals } from "@std/assert";
import { parseBackup } from "../src/client/backup_file.ts";
import {
  describeProtocols,
  PROTOCOL_NEWEST,
  PROTOCOL_OLDEST,
  saidProtocols,
} from "../src/node/peer/protocols.ts";
import { difference, type SharedConfig } from "../src/node/peer/handshake.ts";
import { FORMAT } from "../src/node/storage/kv_layout.ts";

const text = await Deno.readTextFile(new URL("../docs/upgrade.md", import.meta.url));

function versionOf(what: string): string | undefined {
  return new RegExp(`^\\| ${what} +\\| ([^|]+?) +\\|`, "m").exec(text)?.[1];
}

Deno.test("docs/upgrade.md names the versions of the peer protocol, the journal and exports", () => {
  const said = saidProtocols({ oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST });
  const spoken = describeProtocols(said).replace(/^versions? /, "");
  assertEquals(versionOf("the protocol between nodes"), spoken);
  assertEquals(versionOf("the format of the journal"), String(FORMAT));
  const config: SharedConfig = {
    ...said,
    keyBytesMax: 1,
    valueBytesMax: 1,
    leaseMs: 1,
    suspicionMs: 1,
    heartbeatMs: 1,
  };
  const line = difference(config, { theirs: { ...config, protocol: 4 }, name: "NAME" }) ?? "none";
  assertEquals(text.replaceAll(/\s+/g, " ").includes(`\`${line}\``), true, line);
});

Deno.test("docs/upgrade.md has the error for an export of a later version", () => {
  const bytes = new TextEncoder().encode('{"format":"dks-export","version":3}\n');
  let said = "nothing";
  try {
    parseBackup(bytes);
  } catch (error) {
    said = error instanceof Error ? error.message : "no error";
  }
  assertEquals(text.includes(`\`${said}\``), true, said);
});
