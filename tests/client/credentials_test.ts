/** Who the client is, by flags and URLs. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { credentialsOf, parseServers } from "../../src/client/credentials.ts";
import { UsageError } from "../../src/errors.ts";

Deno.test("parseServers() reads addresses, and URLs with who the client is", () => {
  const a = { hostname: "a", port: 5000 };
  const none = { user: undefined, password: undefined };
  const table: readonly [text: string, servers: object][] = [
    ["a", { addresses: [a], ...none }],
    ["a,b:1", { addresses: [a, { hostname: "b", port: 1 }], ...none }],
    ["redis://a", { addresses: [a], ...none }],
    ["REDIS://a:5000/0", { addresses: [a], ...none }],
    ["redis://a/", { addresses: [a], ...none }],
    ["redis://u:p@a", { addresses: [a], user: "u", password: "p" }],
    ["redis://:p@a", { addresses: [a], user: undefined, password: "p" }],
    ["redis://u@a", { addresses: [a], user: "u", password: undefined }],
    ["redis://z%C3%B6:%40%3A@a", { addresses: [a], user: "zö", password: "@:" }],
    ["redis://u:p:q@r@a", { addresses: [a], user: "u", password: "p:q@r" }],
    ["rediss://u:p@a", { addresses: [a], user: "u", password: "p", isTls: true }],
    ["redis://u:p@a,[::1]:1", {
      addresses: [a, { hostname: "::1", port: 1 }],
      user: "u",
      password: "p",
    }],
  ];
  for (const [text, servers] of table) {
    assertEquals<unknown>(parseServers(text, 5000), { isTls: false, ...servers }, text);
  }
});

Deno.test("parseServers() repeats no password when it refuses a URL", () => {
  const table: readonly [text: string, message: string][] = [
    ["rediss://u:secret@a/1", "neither a host name nor an address"],
    ["http://u:secret@a", "--server takes redis:// and rediss:// URLs, and no http://"],
    ["redis://u:secret%@a", "not percent-encoded"],
    ["redis://u:secret@", '--server takes host or host:port, not ""'],
    ["redis://u:secret@a/1", '--server: "a/1" is neither a host name nor an address'],
    ["redis://u:secret@a:x", '--server takes host or host:port, not "a:x"'],
  ];
  for (const [text, message] of table) {
    const error = assertThrows(() => parseServers(text, 5000), UsageError, message, text);
    assert(!error.message.includes("secret"), error.message);
  }
});

Deno.test("credentialsOf() needs a password for a user", () => {
  const none = { user: undefined, password: undefined };
  assertEquals(credentialsOf(none), undefined);
  assertEquals(credentialsOf({ ...none, password: "ö" }), {
    user: undefined,
    password: "\xc3\xb6",
  });
  assertThrows(() => credentialsOf({ ...none, user: "u" }), UsageError, "--user needs a password");
});
