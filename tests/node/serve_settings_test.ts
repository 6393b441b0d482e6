/** The document that `dks serve --config -` reads. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { fromText } from "../../src/byte_string.ts";
import { UsageError } from "../../src/errors.ts";
import { hashOf, linesOfUsers } from "../../src/node/access/user.ts";
import { CONFIG_BYTES_MAX } from "../../src/limits.ts";
import { parseServeOptions, SERVE_HELP } from "../../src/node/serve.ts";
import { documentSchema, readDocument, readServeFlags } from "../../src/node/serve_settings.ts";
import { Authority } from "../harness/certificates.ts";
import { isInstalled } from "../harness/processes.ts";

const encode = (text: string) => new TextEncoder().encode(text);

function parse(document: unknown, line = "") {
  return parseServeOptions(
    line === "" ? [] : line.split(" "),
    encode(JSON.stringify(document)),
  );
}

const WHOLE = {
  "port": 5001,
  "host": "127.0.0.1",
  "peers": ["b", "A:7000", "[::1]:5002"],
  "advertise": "b",
  "data": "folder",
  "timeout": "750ms",
  "idle-timeout": "2m",
  "lease": "2s",
  "suspicion": "1500ms",
  "heartbeat": "100ms",
  "slow-force": "50ms",
  "slow-member": "exclude",
  "max-key-bytes": 100,
  "max-value-bytes": 2000,
  "max-memory": "1mb",
  "notify-keyspace-events": "KEA",
  "log-level": "warn",
  "log-format": "json",
};

Deno.test("a document says what the flags can say, and comes to the same", () => {
  const line = Object.entries(WHOLE).map(([name, value]) => `--${name} ${value}`).join(" ");
  const { logger: _1, ...byDocument } = parse(WHOLE);
  const { logger: _2, ...byFlags } = parseServeOptions(line.split(" "));
  assertEquals(byDocument, byFlags);
  const { storage, forcesNewCluster } = parse({ "ephemeral": true, "force-new-cluster": false });
  assertEquals([storage, forcesNewCluster], [{ kind: "ephemeral" }, false]);
  assertEquals(parse({ "force-new-cluster": true }).forcesNewCluster, true);
  assertEquals(parse({ "enable-debug-command": true }).allowsDebug, true);
  assertEquals(parse({}).allowsDebug, false);
  assertEquals(parse({ "max-memory": 0 }).memoryBytesMax, 0);
  assertEquals(parse({}).port, 5000);
});

Deno.test("flags win over the document", () => {
  const options = parse(WHOLE, "-p 6000 --peers a,b --timeout 2s --log-level error --config -");
  assertEquals([options.port, options.timeoutMs, options.idleMsMax], [6000, 2000, 120_000]);
  assertEquals(options.peers?.map(({ hostname }) => hostname), ["a", "b"]);
  // Where the journal is kept is one thing, whichever flag says it.
  assertEquals(parse({ "data": "folder" }, "--ephemeral").storage, { kind: "ephemeral" });
  const { storage } = parse({ "ephemeral": true }, "--data there");
  assertEquals(storage, { kind: "path", path: "./there" });
});

Deno.test("an error names the key of the document, and what was expected", () => {
  const table: readonly [document: unknown, message: string][] = [
    [{ "prot": 1 }, 'the configuration has the unknown key "prot": there are port, host, peers,'],
    [{ "toString": 1 }, 'the configuration has the unknown key "toString"'],
    [{ "config": "-" }, 'the configuration has the unknown key "config"'],
    [
      { "port": "5000" },
      '"port" in the configuration takes an integer of 0 or more, not a text',
    ],
    [
      { "port": 1.5 },
      '"port" in the configuration takes an integer of 0 or more, not another number',
    ],
    [{ "port": 0 }, '"port" in the configuration takes a port from 1 to 65535, not "0"'],
    [{ "timeout": 5 }, '"timeout" in the configuration takes a text, not a number'],
    [{ "timeout": "" }, '"timeout" in the configuration takes a text, not an empty text'],
    [{ "timeout": "1ms" }, '"timeout" in the configuration takes a time from 100ms to 60s'],
    [{ "lease": "1h" }, '"lease" in the configuration takes a duration such as 5s or 500ms'],
    [
      { "ephemeral": "yes" },
      '"ephemeral" in the configuration takes true or false, not a text',
    ],
    [
      { "peers": "a,b" },
      '"peers" in the configuration takes an array of texts, one at least, each without a comma, ' +
      "not a text",
    ],
    [{ "peers": ["a,b"] }, "each without a comma, not another array"],
    [{ "peers": [] }, "one at least"],
    [{ "peers": ["a", "a"] }, '"peers" in the configuration names a:5000 twice'],
    [
      { "slow-member": "leave" },
      '"slow-member" in the configuration takes one of "warn", "exclude", not another text',
    ],
    [{ "max-memory": true }, "takes a text, or an integer of 0 or more, not true or false"],
    [{ "max-key-bytes": null }, "takes an integer of 0 or more, not null"],
    [[], "the configuration on standard input is an array, and must be an object"],
    ["x", "the configuration on standard input is a text, and must be an object"],
  ];
  for (const [document, message] of table) {
    assertThrows(() => parse(document), UsageError, message, JSON.stringify(document));
  }
});

Deno.test("a document has users with their rules, and keeps their passwords as hashes", () => {
  const { users } = parse({
    "users": { "default": ["off"], "zoë": ["on", ">pass word", "~a*", "&*", "+@all"] },
  });
  assertEquals(linesOfUsers(users), [
    "user default off resetchannels -@all",
    fromText("user zoë on #") + hashOf("pass word") + " ~a* &* +@all",
  ]);
  const table: readonly [users: unknown, message: string][] = [
    [[], '"users" in the configuration takes an object of names, each with an array of rules, not'],
    [{ "a": "on" }, 'the user "a" in the configuration takes an array of rules, each a text, not'],
    [{ "a b": ["on"] }, 'the user "a b" in the configuration has a name with a blank'],
    [{ "a": ["on", "+nope"] }, 'has a wrong rule, number 2, "+nope": Unknown command or category'],
  ];
  for (const [users, message] of table) {
    assertThrows(() => parse({ users }), UsageError, message, JSON.stringify(users));
  }
  for (const rule of ["secret", "#secret", "<secret", "!secret"]) {
    const error = assertThrows(() => parse({ "users": { "a": [rule] } }), UsageError, "number 1: ");
    assert(!error.message.includes("secret"), error.message);
  }
});

Deno.test("a document has the cluster secret, which no error repeats", () => {
  const secret = "0123456789abcdef";
  assertEquals(parse({ "cluster-secret": secret }).clusterSecret, secret);
  assertEquals(parse({}).clusterSecret, undefined);
  assertThrows(
    () => parse({ "cluster-secret": "too short" }),
    UsageError,
    "takes a text of 16 to 1024 characters, not another text",
  );
  for (const wrong of ["too short", 7, null, "x".repeat(1025)]) {
    const error = assertThrows(
      () => parse({ "cluster-secret": wrong }),
      UsageError,
      '"cluster-secret" in the configuration takes a text of 16 to 1024 characters, not ',
    );
    assert(!error.message.includes(String(wrong)) || wrong === null, error.message);
  }
});

Deno.test({
  name: "a document has certificates and their key, which no error repeats",
  ignore: !isInstalled("openssl"),
  fn: async () => {
    const authority = await Authority.create("tests of dks");
    try {
      const [one, other] = [await authority.issue(["DNS:a"]), await authority.issue(["DNS:a"])];
      const { ca } = authority;
      const good = { "tls-cert": one.cert, "tls-key": one.key };
      assertEquals(parse({}).tls, undefined);
      assertEquals(parse({ ...good, "tls-ca": ca }).tls, {
        keys: { ...one, ca },
        demandsCertificates: false,
        allowsPlain: false,
      });
      const pem = "-----BEGIN secret-----";
      const table: readonly [document: object, message: string][] = [
        [{ "tls-cert": one.cert }, '"tls-key" in the configuration is missing'],
        [{ "tls-key": one.key }, '"tls-cert" in the configuration is missing'],
        [{ ...good, "tls-key": other.key }, '"tls-key" in the configuration is not that of'],
        [{ ...good, "tls-key": pem }, '"tls-key" in the configuration is no private key in PEM'],
        [{ ...good, "tls-cert": pem }, '"tls-cert" in the configuration is no certificate in PEM'],
        [{ ...good, "tls-ca": pem }, '"tls-ca" in the configuration is no certificate in PEM'],
        [
          { ...good, "tls-key": "secret" },
          '"tls-key" in the configuration takes a text of PEM, not another text',
        ],
        [{ ...good, "peers": ["a"] }, '"peers" in the configuration with TLS needs "tls-ca"'],
        [{ ...good, "tls-auth-clients": true }, 'with TLS needs "tls-ca" in the configuration'],
        [{ "tls-plain-clients": true }, "is of no use without"],
      ];
      for (const [document, message] of table) {
        const error = assertThrows(() => parse(document), UsageError, message);
        assert(!/secret|BEGIN/.test(error.message), error.message);
      }
    } finally {
      await authority.remove();
    }
  },
});

Deno.test("a document that is no JSON is refused, without a word of what it says", () => {
  const table: readonly [text: string, message: string][] = [
    ["", "the configuration on standard input is not JSON: it is empty"],
    ['{\n"host": secret\n}', "the configuration on standard input is not JSON"],
    ['{"a": "secret" "b"}', "the configuration on standard input is not JSON (line 1 column 16)"],
  ];
  for (const [text, message] of table) {
    const error = assertThrows(() => readDocument(encode(text)), UsageError, message);
    assert(!error.message.includes("secret"), error.message);
  }
  assertThrows(() => readDocument(new Uint8Array([0xff])), UsageError, "is not UTF-8");
  assertThrows(
    () => readDocument(new Uint8Array(CONFIG_BYTES_MAX + 1)),
    UsageError,
    `the configuration has more than ${CONFIG_BYTES_MAX} bytes`,
  );
});

Deno.test("--config takes standard input and nothing else", () => {
  assertEquals(readServeFlags(["--config", "-"]).hasDocument, true);
  assertEquals(readServeFlags([]).hasDocument, false);
  assertThrows(
    () => readServeFlags(["--config", "/etc/dks.json"]),
    UsageError,
    'dks opens no files: --config takes -, and reads standard input, not "/etc/dks.json"',
  );
});

Deno.test("docs/config.schema.json is what the table says: scripts/config_schema.ts writes it", async () => {
  const path = new URL("../../docs/config.schema.json", import.meta.url);
  assertEquals(JSON.parse(await Deno.readTextFile(path)), documentSchema());
});

Deno.test("what the help lists can be said in the document, too", () => {
  const { properties } = documentSchema() as { properties: Record<string, unknown> };
  const flags = [...SERVE_HELP.matchAll(/^ +(?:-p, )?--([a-z-]+)/gm)].map(([, name]) => name);
  // A command line is no place for secrets.
  const others = ["cluster-secret", "tls-cert", "tls-key", "tls-ca", "users"];
  assertEquals([...flags.filter((name) => name !== "config"), ...others], Object.keys(properties));
});

Deno.test("plain-peers needs something that other nodes may lack", () => {
  assertThrows(
    () => parse({ "plain-peers": true }),
    UsageError,
    '"plain-peers" in the configuration is of no use without "cluster-secret" or "tls-cert" in the configuration',
  );
});
