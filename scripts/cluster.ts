// deno-lint-ignore-file no-console -- a script that talks to people
/**
 * `deno task cluster`: five nodes on this machine, until Ctrl-C.
 *
 * @module
 */

import { LocalCluster, loopback } from "../tests/harness/cluster.ts";
import { taskArguments } from "../tests/harness/task_arguments.ts";

const USAGE = "deno task cluster [--port FIRST_PORT] [--nodes COUNT]";
const args = taskArguments(USAGE, {
  string: ["port", "nodes"],
  default: { port: "5001", nodes: "5" },
});
const first = Number(args["port"]);
const count = Number(args["nodes"]);
if (!Number.isInteger(first) || !(count >= 1 && count <= 31)) {
  console.error(`usage: ${USAGE}`);
  Deno.exit(2);
}
const ports = Array.from({ length: count }, (_, index) => first + index);

let isStopping = false;
let cluster: LocalCluster | undefined;
try {
  cluster = await LocalCluster.start({
    places: loopback(ports),
    // Nobody else needs to reach them, and they have no secret.
    args: ["--host", "127.0.0.1"],
    onLine: (port, line) => {
      if (!isStopping) console.log(`${port}  ${line}`);
    },
  });
} catch (error) {
  console.error(`the cluster did not start: ${(error as Error).message}`);
  Deno.exit(1);
}

const [port] = ports;
const examples = [
  [`deno task client -p ${port}`, "the prompt"],
  [`deno task client -p ${port} status`, "what the cluster looks like"],
  [`redis-cli -p ${ports.at(-1)} set greeting hello`, "any Redis client"],
].map(([command = "", what]) => `  ${command.padEnd(42)}${what}`);
console.log(`
${count} nodes run on the ports ${ports.join(", ")}. Try, in another terminal:

${examples.join("\n")}

Without Deno: npx -y deno@2.9.6 task client ... Ctrl-C ends the nodes.
`);

const stopped = Promise.withResolvers<void>();
Deno.addSignalListener("SIGINT", () => stopped.resolve());
Deno.addSignalListener("SIGTERM", () => stopped.resolve());
// One that is killed is a fault to watch: the others go on.
const allEnded = Promise.all(cluster.nodes.map((node) => node.untilEndedAtAll()));
await Promise.race([stopped.promise, allEnded]);
isStopping = true;
await cluster.stop();
Deno.exit(0);
