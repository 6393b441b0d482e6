/**
 * What a node notes of its commands: SLOWLOG, LATENCY and MONITOR.
 *
 * @module
 */

import type { ByteString } from "../../byte_string.ts";
import type { RespValue } from "../../resp/value.ts";
import { error, reply, REPLY_OK, tooManyWords } from "./arguments.ts";
import {
  type CommandFlag,
  type CommandResult,
  type CommandRow,
  featuresOf,
  NO_KEYS,
  type Session,
} from "./command.ts";
import { withHelp } from "./help.ts";
import { parseInteger, toPlace } from "./integers.ts";

/** SLOWLOG GET without a count. */
const SLOW_COMMANDS = 10;

function slowLogGet(words: readonly ByteString[], { node }: Session): CommandResult {
  const [, , word, ...more] = words;
  if (more.length > 0) return { reply: tooManyWords(words) };
  const count = word === undefined ? BigInt(SLOW_COMMANDS) : parseInteger(word);
  if (count === undefined || count < -1n) {
    return error("count should be greater than or equal to -1");
  }
  const entries = node.slowLog.latest(count === -1n ? node.slowLog.length : toPlace(count));
  return reply(
    entries.map(({ id, atSeconds, micros, words, address, name }): RespValue => [
      id,
      atSeconds,
      micros,
      words,
      address,
      name,
    ]),
  );
}

const ADMIN: readonly CommandFlag[] = ["admin", "loading", "stale"];

/** What all of these have. */
const ROW = { group: "server", categories: [], keys: NO_KEYS, flags: ADMIN } as const;

const SLOWLOG: CommandRow = {
  ...ROW,
  name: "slowlog",
  arity: -2,
  flags: [],
  summary: "Commands about what took long",
  syntax: "subcommand",
  since: "2.2.12",
  subcommands: withHelp("slowlog", [
    {
      ...ROW,
      name: "slowlog|get",
      arity: -2,
      summary: "Returns the latest commands that the node was busy with for long",
      syntax: "[count]",
      since: "2.2.12",
      differs: "of GET, SET and commands that are as short one in 16 is timed, unless " +
        "`slowlog-log-slower-than` is below 10,000",
      run: slowLogGet,
    },
    {
      ...ROW,
      name: "slowlog|len",
      arity: 2,
      summary: "Counts the entries",
      syntax: "",
      since: "2.2.12",
      run: (_words, { node }) => reply(node.slowLog.length),
    },
    {
      ...ROW,
      name: "slowlog|reset",
      arity: 2,
      summary: "Removes all entries",
      syntax: "",
      since: "2.2.12",
      run: (_words, { node }) => {
        node.slowLog.reset();
        return REPLY_OK;
      },
    },
  ]),
};

const LATENCY: CommandRow = {
  ...ROW,
  name: "latency",
  arity: -2,
  flags: [],
  summary: "Commands about what took longer than latency-monitor-threshold",
  syntax: "subcommand",
  since: "2.8.13",
  subcommands: withHelp("latency", [
    {
      ...ROW,
      name: "latency|latest",
      arity: 2,
      summary: "Returns the latest sample of each event, and the longest",
      syntax: "",
      since: "2.8.13",
      differs: "the events are `command`, `fast-command` and `event-loop`",
      run: (_words, { node }) =>
        reply(
          node.latency.latest().map(([event, { atSeconds, ms }, maxMs]): RespValue => [
            event,
            atSeconds,
            ms,
            maxMs,
          ]),
        ),
    },
    {
      ...ROW,
      name: "latency|history",
      arity: 3,
      summary: "Returns the samples of an event",
      syntax: "event",
      since: "2.8.13",
      run: ([, , event = ""], { node }) =>
        reply(node.latency.history(event).map(({ atSeconds, ms }): RespValue => [atSeconds, ms])),
    },
    {
      ...ROW,
      name: "latency|reset",
      arity: -2,
      summary: "Removes the samples of events",
      syntax: "[event [event ...]]",
      since: "2.8.13",
      run: ([, , ...events], { node }) => reply(node.latency.reset(events)),
    },
  ]),
};

/** MONITOR: RESET and the end of the connection end it. */
function monitor(_words: readonly ByteString[], session: Session): CommandResult {
  featuresOf(session).isMonitor = true;
  session.node.monitor(session);
  return REPLY_OK;
}

export const MONITORING: readonly CommandRow[] = [
  SLOWLOG,
  LATENCY,
  {
    ...ROW,
    name: "monitor",
    arity: 1,
    flags: ["admin", "noscript", "loading", "stale"],
    inMulti: "refused",
    summary: "Tells the client of all commands of this node",
    syntax: "",
    since: "1.0.0",
    differs:
      "32 words of a command at most, and 128 bytes of each; not AUTH and HELLO; what MULTI " +
      "queues when it is queued; not between MULTI and EXEC",
    run: monitor,
  },
];
