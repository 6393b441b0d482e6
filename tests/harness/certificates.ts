/**
 * Authorities and certificates for tests, made by openssl.
 *
 * @module
 */

import { execute } from "./processes.ts";

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** An authority with a folder of its own. */
export class Authority {
  readonly #folder: string;
  /** Its own certificate, in PEM. */
  readonly ca: string;
  #count = 0;

  private constructor(folder: string, ca: string) {
    this.#folder = folder;
    this.ca = ca;
  }

  static async create(name: string): Promise<Authority> {
    const folder = await Deno.makeTempDir({ prefix: "dks-ca-" });
    await openssl([
      ...["req", "-x509", ...NEW_KEY, "-keyout", `${folder}/ca.key`, "-out", `${folder}/ca.pem`],
      ...["-days", "30", "-subj", `/CN=${name}`],
    ]);
    return new Authority(folder, await Deno.readTextFile(`${folder}/ca.pem`));
  }

  /** The path of its own certificate. */
  get path(): string {
    return `${this.#folder}/ca.pem`;
  }

  /**
   * Makes a certificate for names such as `DNS:localhost` and `IP:127.0.0.1`.
   *
   * @param days from now until it ends; it has expired if they are negative
   */
  async issue(names: readonly string[], days = 30): Promise<Certificate> {
    const path = `${this.#folder}/${++this.#count}`;
    await Deno.writeTextFile(
      `${path}.ext`,
      `subjectAltName=${names.join(",")}\nextendedKeyUsage=serverAuth,clientAuth\n`,
    );
    await openssl([
      "req",
      ...NEW_KEY,
      ...["-keyout", `${path}.key`, "-out", `${path}.csr`, "-subj", "/CN=dks"],
    ]);
    await openssl([
      ...["x509", "-req", "-in", `${path}.csr`, "-CA", this.path],
      ...["-CAkey", `${this.#folder}/ca.key`, "-CAcreateserial", "-days", String(days)],
      ...["-extfile", `${path}.ext`, "-out", `${path}.pem`],
    ]);
    return {
      cert: await Deno.readTextFile(`${path}.pem`),
      key: await Deno.readTextFile(`${path}.key`),
    };
  }

  /** Writes a certificate where programs that take paths find it. Returns the paths. */
  async write({ cert, key }: Certificate): Promise<{ cert: string; key: string }> {
    const path = `${this.#folder}/${++this.#count}`;
    await Deno.writeTextFile(`${path}.pem`, cert);
    await Deno.writeTextFile(`${path}.key`, key);
    return { cert: `${path}.pem`, key: `${path}.key` };
  }

  async remove(): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

async function openssl(args: readonly string[]): Promise<void> {
  const { code, stderr } = await execute("openssl", [...args]);
  if (code !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}

/** Returns the document of `--config -` with a certificate. */
export function tlsDocument(
  { cert, key }: Certificate,
  ca: string,
  more: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({ "tls-cert": cert, "tls-key": key, "tls-ca": ca, ...more });
}
