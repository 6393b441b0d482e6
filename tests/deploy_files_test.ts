/** What `deploy/` has to run nodes: good for the programs that read it, and for `dks serve`. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseServeOptions } from "../src/node/serve.ts";
import { deployFile, documentsOf, HAS_YAML } from "./harness/deploy_files.ts";
import { execute, isInstalled } from "./harness/processes.ts";

Deno.test({
  name: "systemd takes the unit as it is, and calls it well confined",
  ignore: !isInstalled("systemd-analyze"),
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const unit = `${folder}/dks.service`;
      // There is no such program here, and no man page.
      const text = (await deployFile("dks.service")).replace("/usr/local/bin/dks", "/bin/true")
        .replace(/^Documentation=.*\n/m, "");
      await Deno.writeTextFile(unit, text);
      const verified = await execute("systemd-analyze", ["verify", unit]);
      assertEquals([verified.code, verified.stderr], [0, ""]);
      const args = ["security", "--offline=true", "--threshold=20", unit];
      const { code, stdout } = await execute("systemd-analyze", args);
      assertEquals(code, 0, stdout); // An exposure of at most 2.0 of 10.
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("systemd starts a node again for as long as it takes, but for a wrong configuration", async () => {
  const [unit = "", service = ""] = (await deployFile("dks.service")).split("[Service]");
  assertMatch(unit, /^StartLimitIntervalSec=0$/m);
  assertMatch(service, /^Restart=on-failure$/m);
  // What `dks` ends with that was told something wrong.
  assertMatch(service, /^RestartPreventExitStatus=2$/m);
});

Deno.test("memory that large values have left goes back to the system, wherever deploy/ runs a node", async () => {
  assertMatch(await deployFile("dks.service"), /^Environment=MALLOC_MMAP_THRESHOLD_=262144$/m);
  // Compose and Kubernetes run the image.
  assertMatch(await deployFile("Dockerfile"), /^ENV MALLOC_MMAP_THRESHOLD_=262144$/m);
});

Deno.test("the Dockerfile runs dks as a user that is not root, with its folders as its own", async () => {
  const text = await deployFile("Dockerfile");
  const steps = text.split("\n").filter((line) => /^[A-Z]+ /.test(line));
  const at = (pattern: RegExp) => {
    const found = steps.findIndex((step) => pattern.test(step));
    assert(found >= 0, String(pattern));
    return found;
  };
  const user = at(/^USER 65532:65532$/);
  assert(at(/^RUN .*chown 65532:65532 \/data \/var\/cache\/dks$/) < user);
  assert(at(/^RUN dks --version$/) > user, "what is unpacked belongs to the user");
  assert(at(/^RUN dks --version$/) > at(/^ENV XDG_DATA_HOME=\/data XDG_CACHE_HOME=/));
  const command = /^CMD (\[.*\])$/m.exec(text)?.[1] ?? "";
  const [name, ...args] = JSON.parse(command);
  assertEquals([name, parseServeOptions(args).port], ["serve", 5000]);
});

interface ComposeService {
  readonly command: readonly string[];
  readonly hostname: string;
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly volumes: readonly string[];
}

Deno.test({
  name: "the compose file has five nodes with the same list and a volume each",
  ignore: !HAS_YAML,
  fn: async () => {
    const [document] = await documentsOf("compose.yaml") as [{
      services: Record<string, ComposeService>;
      volumes: Record<string, null>;
    }];
    const names = ["n1", "n2", "n3", "n4", "n5"];
    assertEquals(Object.keys(document.services), names);
    assertEquals(Object.keys(document.volumes), names);
    for (const [name, service] of Object.entries(document.services)) {
      const [command, ...args] = service.command;
      assertEquals(command, "serve");
      const { peers } = parseServeOptions([...args, "--ephemeral"]);
      assertEquals(peers?.map(({ hostname }) => hostname), names);
      assertEquals([service.hostname, service.read_only, service.cap_drop], [name, true, ["ALL"]]);
      assertEquals(service.volumes, [`${name}:/data`]);
    }
  },
});

interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas?: number;
    readonly serviceName?: string;
    readonly publishNotReadyAddresses?: boolean;
    readonly podManagementPolicy?: string;
    readonly template?: {
      readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[] };
    };
  };
}

Deno.test({
  name: "the StatefulSet starts each node with a list of all, and with its own name in it",
  ignore: !HAS_YAML,
  fn: async () => {
    const objects = await documentsOf("kubernetes.yaml") as KubernetesObject[];
    assertEquals(
      objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
      ["Service dks", "Service dks-clients", "PodDisruptionBudget dks", "StatefulSet dks"],
    );
    const [service, , , { spec: set }] = objects as [
      KubernetesObject,
      KubernetesObject,
      KubernetesObject,
      KubernetesObject,
    ];
    assertEquals(service.spec.publishNotReadyAddresses, true);
    assertEquals([set.serviceName, set.podManagementPolicy], ["dks", "Parallel"]);
    const replicas = set.replicas ?? 0;
    for (let at = 0; at < replicas; at++) {
      const args = set.template?.spec.containers[0]?.args ?? [];
      assertEquals(args[0], "serve");
      const own = args.slice(1).map((arg) => arg.replace("$(POD_NAME)", `dks-${at}`));
      const { peers, advertise, http } = parseServeOptions(own);
      assertEquals(
        peers?.map(({ hostname }) => hostname),
        Array.from({ length: replicas }, (_, index) => `dks-${index}.dks`),
      );
      assertEquals([advertise?.hostname, http?.address.port], [`dks-${at}.dks`, 9000]);
    }
    assertMatch(await deployFile("kubernetes.yaml"), /path: \/readyz[\s\S]*path: \/healthz/);
  },
});
