/**
 * DKS.MEMBER: the list of nodes, and changes of it. See `two_phase/member_changes.ts`.
 *
 * @module
 */

import { formatAddress, isLoopback, parseAddress } from "../../address.ts";
import { type ByteString, toText } from "../../byte_string.ts";
import { messageOf, UsageError } from "../../errors.ts";
import { ErrorReply, type RespValue } from "../../resp/value.ts";
import type { ChangeOutcome } from "../../two_phase/member_changes.ts";
import type { MemberChange } from "../../two_phase/messages.ts";
import { reply } from "./arguments.ts";
import {
  type CommandResult,
  type CommandRow,
  type MembersHost,
  NO_KEYS,
  type Session,
} from "./command.ts";
import { withHelp } from "./help.ts";

/** Names that can be no node's get an error that says what was expected. */
function changeOf(
  kind: MemberChange["kind"],
  words: readonly ByteString[],
  { node: { members } }: Session,
): MemberChange | ErrorReply {
  try {
    const [first = "", second = ""] = words.map((word) => nameOf(word, members.port));
    switch (kind) {
      case "replace":
        return whyUnreachable(second, members) ?? { kind, name: second, replaces: first };
      case "add":
        return whyUnreachable(first, members) ?? { kind, name: first };
      default:
        return { kind, name: first };
    }
  } catch (error) {
    if (error instanceof UsageError) return new ErrorReply("ERR", messageOf(error));
    throw error;
  }
}

/** Returns the name of a node as lists have it. */
function nameOf(word: ByteString, defaultPort: number): string {
  return formatAddress(parseAddress(toText(word) ?? word, { defaultPort, name: "DKS.MEMBER" }));
}

/** A node that only its own machine reaches, and one elsewhere, have no links. */
function whyUnreachable(name: string, { list, port }: MembersHost): ErrorReply | undefined {
  const isHere = isLoopbackName(name);
  const other = list.find((one) => isLoopbackName(one) !== isHere);
  if (other === undefined) return undefined;
  const what = isHere
    ? `${name} is an address that only its own machine reaches, and ${other} is another's: name the ` +
      "node as the others reach it"
    : `${other} is in the list under a name that other machines do not reach: start it again with ` +
      `--advertise NAME:${port}, a name by which ${name} reaches it, and then add ${name}`;
  return new ErrorReply("ERR", what);
}

function isLoopbackName(name: string): boolean {
  return isLoopback(parseAddress(name, { defaultPort: 0, name: "the list of nodes" }).hostname);
}

function change(kind: MemberChange["kind"]) {
  return ([, , ...words]: readonly ByteString[], session: Session): CommandResult => {
    const asked = changeOf(kind, words, session);
    if (asked instanceof ErrorReply) return { reply: asked };
    const { user, connection, node } = session;
    const by = `${toText(user) ?? user} at ${toText(connection.address) ?? ""}`;
    return { later: node.members.change(asked, by).then(replyTo) };
  };
}

function replyTo(outcome: ChangeOutcome): RespValue {
  switch (outcome.kind) {
    case "done":
      return outcome.view;
    case "refused":
      return new ErrorReply("ERR", outcome.reason);
    case "indeterminate":
      return new ErrorReply("INDETERMINATE", outcome.reason);
  }
}

const ROW = {
  group: "dks",
  categories: [],
  keys: NO_KEYS,
  flags: ["admin", "noscript", "stale"],
  since: "0.2.0",
} as const satisfies Partial<CommandRow>;

const ROWS: readonly CommandRow[] = [
  {
    ...ROW,
    name: "dks.member|add",
    arity: 3,
    summary: "Adds a node: it counts as soon as it holds everything",
    syntax: "node",
    run: change("add"),
  },
  {
    ...ROW,
    name: "dks.member|cancel",
    arity: 3,
    summary: "Calls off the addition of a node that does not count yet",
    syntax: "node",
    run: change("cancel"),
  },
  {
    ...ROW,
    name: "dks.member|list",
    arity: 2,
    flags: ["admin", "noscript", "loading", "stale"],
    summary: "Returns the nodes of the cluster as this node knows them, as JSON",
    syntax: "",
    run: (_words, { node }) => reply(node.members.describe()),
  },
  {
    ...ROW,
    name: "dks.member|remove",
    arity: 3,
    summary: "Takes a node out of the cluster, dead or alive",
    syntax: "node",
    run: change("remove"),
  },
  {
    ...ROW,
    name: "dks.member|replace",
    arity: 4,
    summary: "Adds a node in the place of another, which leaves when the new one holds everything",
    syntax: "old-node new-node",
    run: change("replace"),
  },
];

/** DKS.MEMBER and its subcommands. */
export const MEMBER: CommandRow = {
  ...ROW,
  name: "dks.member",
  arity: -2,
  flags: [],
  summary: "Commands about the nodes of the cluster",
  syntax: "subcommand",
  subcommands: withHelp("dks.member", ROWS),
};
