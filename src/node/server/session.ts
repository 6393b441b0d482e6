/**
 * What a connection knows about its client.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { EncodedPush } from "../../resp/encoder.ts";
import type { RespVersion } from "../../resp/value.ts";
import type {
  CommandHost,
  ConnectionFacts,
  Features,
  Restriction,
  Session,
} from "../commands/command.ts";

/** The session of one connection. Commands read and change it. */
export class ClientSession implements Session {
  name: ByteString = "";
  version: RespVersion = 2;
  isClosing = false;
  features: Features | undefined;
  libraryName: ByteString = "";
  libraryVersion: ByteString = "";
  isNoEvict = false;
  isNoTouch = false;
  lastCommand = -1;
  user: ByteString = "";
  isAuthenticated = false;
  restriction: Restriction | undefined;

  /**
   * @param id the number of the connection
   * @param node what commands may ask of the node
   * @param tell sends the client something that is no reply
   * @param connection what is known of the connection
   */
  constructor(
    readonly id: number,
    readonly node: CommandHost,
    readonly tell: (push: EncodedPush) => void,
    readonly connection: ConnectionFacts,
  ) {
    node.access.begin(this);
  }
}
