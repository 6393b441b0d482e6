/**
 * Publish and subscribe.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import { ErrorReply, Push, Replies, type RespValue, SimpleString } from "../../resp/value.ts";
import { reply, tooManyWords } from "./arguments.ts";
import {
  type CommandFlag,
  type CommandResult,
  type CommandRow,
  featuresOf,
  NO_KEYS,
  type Session,
  SUBSCRIPTION_KINDS,
  type SubscriptionKind,
  type Subscriptions,
} from "./command.ts";
import { Glob, whyNotPattern } from "./glob.ts";

/** Tells whether the client speaks version 2 and has subscribed: then few commands are allowed. */
export function isSubscriber({ version, features }: Session): boolean {
  const subscriptions = features?.subscriptions;
  return version === 2 && subscriptions !== undefined &&
    SUBSCRIPTION_KINDS.some((kind) => subscriptions[kind].size > 0);
}

/** Has the client listen to nothing any more. */
export function unsubscribeAll(session: Session): void {
  const subscriptions = session.features?.subscriptions;
  if (subscriptions === undefined) return;
  for (const kind of SUBSCRIPTION_KINDS) {
    for (const name of subscriptions[kind]) session.node.pubsub.unsubscribe(kind, name, session);
    subscriptions[kind].clear();
  }
}

/** What the confirmations of a kind are counted with: shard channels are apart. */
function countOf(kind: SubscriptionKind, subscriptions: Subscriptions | undefined): number {
  if (subscriptions === undefined) return 0;
  const { channel, pattern, shard } = subscriptions;
  return kind === "shard" ? shard.size : channel.size + pattern.size;
}

function subscribe(
  kind: SubscriptionKind,
  words: readonly ByteString[],
  session: Session,
): CommandResult {
  const [word = "", ...names] = words;
  const { pubsub, keyBytesMax } = session.node;
  const features = featuresOf(session);
  const subscriptions = features.subscriptions ??= {
    channel: new Set(),
    pattern: new Set(),
    shard: new Set(),
  };
  const long = names.find((name) => name.length > keyBytesMax);
  if (long !== undefined) return { reply: tooLong(kind, long.length, keyBytesMax) };
  const own = subscriptions[kind];
  const replies = names.map((name): RespValue => {
    if (!own.has(name)) {
      const refusal = pubsub.subscribe(kind, name, session);
      if (refusal !== undefined) return refusal;
      own.add(name);
    }
    return new Push([word.toLowerCase(), name, countOf(kind, subscriptions)]);
  });
  const known = pubsub.allKnow();
  const all = new Replies(replies);
  return known === undefined ? { reply: all } : { later: known.then(() => all) };
}

function unsubscribe(
  kind: SubscriptionKind,
  words: readonly ByteString[],
  session: Session,
): CommandResult {
  const [word = "", ...names] = words;
  const subscriptions = session.features?.subscriptions;
  const own = subscriptions?.[kind];
  const given = names.length > 0 ? names : [...own ?? []];
  const leave = (name: ByteString) => {
    if (own?.delete(name)) session.node.pubsub.unsubscribe(kind, name, session);
    return new Push([word.toLowerCase(), name, countOf(kind, subscriptions)]);
  };
  if (given.length > 0) return { reply: new Replies(given.map(leave)) };
  return { reply: new Push([word.toLowerCase(), null, countOf(kind, subscriptions)]) };
}

function publish(
  kind: "channel" | "shard",
  [, channel = "", message = ""]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const { keyBytesMax, valueBytesMax } = node;
  if (channel.length > keyBytesMax) return reply(tooLong(kind, channel.length, keyBytesMax));
  if (message.length > valueBytesMax) {
    return reply(tooLong("message", message.length, valueBytesMax));
  }
  return reply(node.pubsub.publish(kind, channel, message));
}

function tooLong(
  what: SubscriptionKind | "message",
  bytes: number,
  max: number,
): ErrorReply {
  const name = what === "shard" ? "channel" : what;
  return new ErrorReply("ERR", `${name} of ${bytes} bytes, at most ${max} are allowed`);
}

/** PUBSUB CHANNELS and SHARDCHANNELS: the names that have subscribers, at any node. */
function channels(
  kind: "channel" | "shard",
  words: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const [, , pattern, ...more] = words;
  if (more.length > 0) return { reply: tooManyWords(words) };
  const names = [...node.pubsub.names(kind)];
  if (pattern === undefined) return reply(names);
  const refusal = whyNotPattern(pattern);
  if (refusal !== undefined) return { reply: refusal };
  const glob = new Glob(pattern);
  return reply(names.filter((name) => glob.matches(name)));
}

function counts(
  kind: "channel" | "shard",
  [, , ...names]: readonly ByteString[],
  { node }: Session,
): CommandResult {
  const entries = names.flatMap((name): RespValue[] => [name, node.pubsub.count(kind, name)]);
  return reply(entries);
}

const HELP: readonly string[] = [
  "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "CHANNELS [<pattern>]",
  "    Return the currently active channels matching a <pattern> (default: '*').",
  "NUMPAT",
  "    Return number of subscriptions to patterns.",
  "NUMSUB [<channel> ...]",
  "    Return the number of subscribers for the specified channels, excluding",
  "    pattern subscriptions(default: no channels).",
  "SHARDCHANNELS [<pattern>]",
  "    Return the currently active shard level channels matching a <pattern> (default: '*').",
  "SHARDNUMSUB [<shardchannel> ...]",
  "    Return the number of subscribers for the specified shard level channel(s)",
  "HELP",
  "    Prints this help.",
];

/** What all commands of this family have. */
const ROW = { group: "pubsub", categories: [], keys: NO_KEYS } as const;

const SUBSCRIBE_FLAGS: readonly CommandFlag[] = ["pubsub", "noscript", "loading", "stale"];

/** Rows that change what the client listens to: SUBSCRIBE and UNSUBSCRIBE of one kind. */
function subscribeRows(
  kind: SubscriptionKind,
  about: { letter: string; syntax: string; whats: string; since: string },
): CommandRow[] {
  const { letter, syntax, whats, since } = about;
  const row = {
    ...ROW,
    flags: SUBSCRIBE_FLAGS,
    waits: "alone",
    inMulti: "refused",
    differs: "not between MULTI and EXEC",
    isForSubscribers: true,
    since,
  } as const;
  return [
    {
      ...row,
      name: `${letter}subscribe`,
      arity: -2,
      summary: `Subscribes the client to what is published ${whats}`,
      syntax: `${syntax} [${syntax} ...]`,
      run: (words, session) => subscribe(kind, words, session),
    },
    {
      ...row,
      name: `${letter}unsubscribe`,
      arity: -1,
      summary: `Ends what the client is told ${whats}, of some or of all`,
      syntax: `[${syntax} [${syntax} ...]]`,
      run: (words, session) => unsubscribe(kind, words, session),
    },
  ];
}

const PUBLISH: CommandRow = {
  ...ROW,
  name: "publish",
  arity: 3,
  flags: ["pubsub", "loading", "stale", "fast"],
  // What was written before it is there when a subscriber is told.
  waits: "alone",
  summary: "Sends a message to all clients that listen, at any node",
  syntax: "channel message",
  since: "2.0.0",
  run: (words, session) => publish("channel", words, session),
};

function subcommand(
  name: string,
  about: Pick<CommandRow, "arity" | "summary" | "syntax" | "since" | "run"> & Partial<CommandRow>,
): CommandRow {
  return { ...ROW, flags: ["pubsub", "loading", "stale"], ...about, name: `pubsub|${name}` };
}

const PUBSUB_COMMAND: CommandRow = {
  ...ROW,
  name: "pubsub",
  arity: -2,
  flags: [],
  summary: "Commands about publish and subscribe",
  syntax: "subcommand",
  since: "2.8.0",
  subcommands: [
    subcommand("channels", {
      arity: -2,
      summary: "Returns the channels that have subscribers, at any node",
      syntax: "[pattern]",
      since: "2.8.0",
      run: (words, session) => channels("channel", words, session),
    }),
    subcommand("numsub", {
      arity: -2,
      summary: "Counts the subscribers of channels, at all nodes",
      syntax: "[channel [channel ...]]",
      since: "2.8.0",
      run: (words, session) => counts("channel", words, session),
    }),
    subcommand("numpat", {
      arity: 2,
      summary: "Counts the patterns that have subscribers, at any node",
      syntax: "",
      since: "2.8.0",
      run: (_words, { node }) => reply(node.pubsub.names("pattern").size),
    }),
    subcommand("shardchannels", {
      arity: -2,
      summary: "Returns the shard channels that have subscribers, at any node",
      syntax: "[pattern]",
      since: "7.0.0",
      run: (words, session) => channels("shard", words, session),
    }),
    subcommand("shardnumsub", {
      arity: -2,
      summary: "Counts the subscribers of shard channels, at all nodes",
      syntax: "[shardchannel [shardchannel ...]]",
      since: "7.0.0",
      run: (words, session) => counts("shard", words, session),
    }),
    subcommand("help", {
      arity: 2,
      summary: "Returns what the subcommands do",
      syntax: "",
      since: "6.2.0",
      flags: ["loading", "stale"],
      run: () => reply(HELP.map((line) => new SimpleString(line))),
    }),
  ],
};

export const PUBSUB: readonly CommandRow[] = [
  ...subscribeRows("channel", {
    letter: "",
    syntax: "channel",
    whats: "in channels",
    since: "2.0.0",
  }),
  ...subscribeRows("pattern", {
    letter: "p",
    syntax: "pattern",
    whats: "in channels that match patterns",
    since: "2.0.0",
  }),
  ...subscribeRows("shard", {
    letter: "s",
    syntax: "shardchannel",
    whats: "in shard channels",
    since: "7.0.0",
  }),
  PUBLISH,
  {
    ...PUBLISH,
    name: "spublish",
    summary: "Sends a message to all clients that listen to a shard channel, at any node",
    syntax: "shardchannel message",
    since: "7.0.0",
    run: (words, session) => publish("shard", words, session),
  },
  PUBSUB_COMMAND,
];
