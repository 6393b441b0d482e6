import { assertEquals, assertRejects } from "@std/assert";
import { parseTlsBundle } from "../../src/client/tls_bundle.ts";
import { UsageError } from "../../src/errors.ts";
import { Authority } from "../harness/certificates.ts";
import { isInstalled } from "../harness/processes.ts";

const NAMES = ["DNS:localhost"];

Deno.test({
  name: "parseTlsBundle() tells authorities from the certificate whose key is there, in any order",
  ignore: !isInstalled("openssl"),
  fn: async () => {
    const authority = await Authority.create("tests of dks");
    const other = await Authority.create("somebody else");
    try {
      const [ca, second] = [authority.ca.trim(), other.ca.trim()];
      const own = await authority.issue(NAMES);
      const [cert, key] = [own.cert.trim(), own.key.trim()];
      assertEquals(await parseTlsBundle(ca), { ca });
      assertEquals(await parseTlsBundle(`about\n${ca}\n${second}\n`), { ca: `${ca}\n${second}` });
      const bundle = { ca, cert, key };
      assertEquals(await parseTlsBundle([ca, cert, key].join("\n")), bundle);
      assertEquals(await parseTlsBundle([key, cert, ca].join("\n")), bundle);
      assertEquals(await parseTlsBundle([cert, key].join("\n")), { cert, key });

      const fails = (pem: string, message: string) =>
        assertRejects(() => parseTlsBundle(pem), UsageError, message);
      const foreign = (await other.issue(NAMES)).key;
      await fails("", "standard input has none");
      await fails(key, "standard input has none");
      await fails([ca, cert, foreign].join("\n"), "belongs to none of the certificates");
      await fails([ca, cert, key, foreign].join("\n"), "takes one private key");
      const broken = key.replace(/\n[^]*\n/, "\nAAAA\n");
      await fails([ca, cert, broken].join("\n"), "cannot be read");
    } finally {
      await authority.remove();
      await other.remove();
    }
  },
});
