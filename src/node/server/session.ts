/**
 * What a connection knows about its client.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { RespVersion } from "../../resp/value.ts";
import type { CommandHost, Session } from "../commands/command.ts";

/** The session of one connection. Commands read and change it. */
export class ClientSession implements Session {
  name: ByteString = "";
  version: RespVersion = 2;
  isClosing = false;

  /**
   * @param id the number of the connection
   * @param node what commands may ask of the node
   */
  constructor(readonly id: number, readonly node: CommandHost) {}
}
