/** What the programs of Node share: the nodes that they use, and how they end. */

const ports = process.argv.slice(2).map(Number);

/** Addresses as URLs, a node each. */
const urls = ports.map((port) => `redis://127.0.0.1:${port}`);

/** Waits until `condition` holds. */
async function until(what, condition) {
  const end = Date.now() + 20_000;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`waited 20 s until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs a program: what it throws is printed, and ends it with 1. */
function run(program) {
  const fail = (error) => {
    process.stderr.write(`${error?.stack ?? error}\n`);
    process.exit(1);
  };
  process.on("unhandledRejection", fail);
  program().then(() => process.exit(0), fail);
}

module.exports = { ports, urls, until, run };
