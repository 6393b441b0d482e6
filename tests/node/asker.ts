/** What nodes say of themselves to others. */

import { getLogger } from "@std/log";
import { sharedConfig } from "../../src/node/peer/handshake.ts";
import { Peers } from "../../src/node/peer/peers.ts";
import { parseServeOptions } from "../../src/node/serve.ts";

/** Returns what asks nodes as another node would. */
export function newAsker(): Peers {
  return new Peers({
    addresses: [],
    hostname: "127.0.0.1",
    config: sharedConfig(parseServeOptions(["--log-level", "critical"])),
    secret: undefined,
    identity: () => ({ journal: "asker", incarnation: 1 }),
    clusterPosition: () => ({ view: 0, cluster: { id: "" }, names: [], listView: 0 }),
    logger: getLogger("test"),
    pubsub: { linkUp: () => {}, linkDown: () => {}, receive: () => {} },
    report: () => ({ keys: 0, requestsPerSecond: 0, hasLease: false, chunks: null }),
    onOutOfFiles: () => {},
    onFatal: () => {},
    onOtherIds: () => {},
    onNotListed: () => {},
  });
}
