/**
 * How often things happened since the start of the process, as data: the names in INFO and in
 * metrics, and what each counts. A counter also proves that a rare path was taken: the simulator's
 * fixed set of seeds must reach each of them.
 *
 * @module
 */

/** The public name of a counter, and what it counts. */
export interface CounterDescription {
  /** Its name in INFO; Prometheus text puts `dks_` before it and `_total` after it. */
  readonly name: string;
  readonly help: string;
}

/** Every counter of the protocol. They only grow. */
export const COUNTERS = {
  answered: { name: "requests_answered", help: "Requests that were answered." },
  rejected: { name: "requests_rejected", help: "Requests that were rejected: nothing happened." },
  aborted: { name: "requests_aborted", help: "Requests that were aborted for certain." },
  indeterminate: {
    name: "requests_indeterminate",
    help: "Requests whose outcome was not known in time.",
  },
  commits: { name: "commits", help: "Transactions that this node coordinated and committed." },
  aborts: {
    name: "aborts",
    help: "Transactions that this node coordinated and aborted, for whatever reason.",
  },
  retries: { name: "retries", help: "Attempts after the first of a request." },
  commitsAfterRetry: {
    name: "commits_after_retry",
    help: "Requests that committed at a later attempt than their first.",
  },
  waits: { name: "waits", help: "Transactions of others that had to wait here for a lock." },
  deaths: {
    name: "deaths",
    help: "Transactions of others that were refused here because an older one holds a key.",
  },
  deathsInLine: {
    name: "deaths_in_line",
    help: "Transactions of others refused while they were in line, because an older one came.",
  },
  chained: {
    name: "chained",
    help: "Transactions that joined a chain instead of waiting for the one before.",
  },
  abortedWithLeader: {
    name: "aborted_with_leader",
    help: "Transactions aborted because they follow one that was.",
  },
  grantsFromLine: {
    name: "grants_from_line",
    help: "Requests in line that got their locks later.",
  },
  readsThatWaited: {
    name: "reads_that_waited",
    help: "Reads that waited for the outcome of a transaction.",
  },
  holdsGivenUp: {
    name: "exports_delayed",
    help: "Times an export stopped waiting for the transactions under way, and tried again later.",
  },
  evaluationsThatWaited: {
    name: "evaluations_that_waited",
    help: "Evaluations without an effect that waited for what they had read to be committed.",
  },
  evaluationsAlone: {
    name: "evaluations_alone",
    help:
      "Evaluations without an effect on several keys that had to wait for all of them to be free.",
  },
  evaluationsRedone: {
    name: "evaluations_redone",
    help: "Evaluations without an effect repeated because what they had read was aborted.",
  },
  expiries: {
    name: "expired_keys",
    help: "Keys deleted by transactions of this node because their time to live was over.",
  },
  votesAfterAbort: {
    name: "votes_after_abort",
    help: "Yes votes for a transaction that had been aborted meanwhile.",
  },
  repeatedPrepares: {
    name: "repeated_prepares",
    help: "Prepares of a transaction that this node knew already.",
  },
  preparesAfterAbort: {
    name: "prepares_after_abort",
    help: "Prepares that came after the abort of the same transaction.",
  },
  preparesForgotten: { name: "prepares_forgotten", help: "Prepares under the low-water mark." },
  abortsOfUnknown: {
    name: "aborts_of_unknown",
    help: "Aborts of a transaction that this node did not know.",
  },
  stale: {
    name: "stale",
    help: "Messages of another view, or about a transaction that is not known any more.",
  },
  foreign: { name: "foreign", help: "Messages and views of another cluster." },
  givenUp: { name: "given_up", help: "Transactions given up because their time was over." },
  resent: { name: "resent", help: "Prepares, commits and aborts sent again when a link came up." },
  incarnationsTaken: {
    name: "incarnations_taken",
    help: "Incarnations that this process took because the numbers of the one before ran out.",
  },
  recoveredOwn: {
    name: "recovered_own",
    help: "Own transactions that were undecided when this node started.",
  },
  recoveredCommits: {
    name: "recovered_commits",
    help: "Own transactions, undecided when this node started, that were committed since.",
  },
  recoveredAborts: {
    name: "recovered_aborts",
    help: "Own transactions, undecided when this node started, that were aborted since.",
  },
  recoveredForeign: {
    name: "recovered_foreign",
    help: "Transactions of others that were prepared when this node went down.",
  },
  presumedAborts: {
    name: "presumed_aborts",
    help: "Transactions aborted because their coordinator had no record of them after a restart.",
  },
  readsWithoutLease: {
    name: "reads_without_lease",
    help: "Reads that could not be answered at once because there was no lease.",
  },
  viewAttempts: { name: "view_attempts", help: "Attempts of this node to have a view chosen." },
  viewAttemptsGivenUp: {
    name: "view_attempts_given_up",
    help: "Attempts of this node to have a view chosen that failed.",
  },
  promises: { name: "promises", help: "Ballots promised." },
  viewRefusals: {
    name: "view_refusals",
    help: "Attempts of others refused because a higher ballot is promised.",
  },
  viewsInstalled: { name: "views_installed", help: "Views installed." },
  viewsMissed: {
    name: "views_missed",
    help: "Attempts that found a later view installed elsewhere.",
  },
  laggingMembers: {
    name: "lagging_members",
    help: "Members that promised without having installed the view, and were sent it.",
  },
  proposalsRepeated: {
    name: "proposals_repeated",
    help: "Accepted proposals that were proposed again unchanged.",
  },
  settledByCommit: {
    name: "settled_by_commit",
    help: "Transactions in doubt that a view change committed.",
  },
  settledByAbort: {
    name: "settled_by_abort",
    help: "Transactions in doubt that a view change aborted.",
  },
  ownSettledByCommit: {
    name: "own_settled_by_commit",
    help: "Own transactions that a view change committed while their clients waited.",
  },
  ownSettledByAbort: {
    name: "own_settled_by_abort",
    help: "Own transactions that a view change aborted while their clients waited.",
  },
  ownAbortsOverruled: {
    name: "own_aborts_overruled",
    help: "Own transactions that a view committed though this node had aborted them by itself.",
  },
  outcomesMissed: {
    name: "outcomes_missed",
    help: "Own transactions whose outcome is in a view that this node missed.",
  },
  leasesWaitedFor: {
    name: "leases_waited_for",
    help: "Installations that waited until the leases of nodes left out were over.",
  },
  leasesGivenUp: {
    name: "leases_given_up",
    help: "Installations that did not wait for a lease because its holder had given it up.",
  },
  heldBack: {
    name: "joins_held_back",
    help:
      "Nodes that asked to join, and do not hear all members, or not for long enough, or whose disk is slow.",
  },
  slowExcluded: {
    name: "view_slow_excluded",
    help: "Views that left out members for their slow disks.",
  },
  disconnectedExcluded: {
    name: "view_disconnected_excluded",
    help:
      "Nodes that were left out of a view because they and another member do not hear each other.",
  },
  exclusions: { name: "exclusions", help: "Views that excluded this node." },
  transfers: { name: "transfers_started", help: "Transfers started as a source." },
  finals: { name: "transfer_last_parts_sent", help: "Last parts of transfers sent as a source." },
  joins: {
    name: "transfer_last_parts_received",
    help: "Last parts of transfers received as a joiner.",
  },
  finalsAhead: {
    name: "finals_ahead",
    help: "Last parts of transfers that came before the view that they belong to.",
  },
  joinsLate: {
    name: "joins_late",
    help:
      "Views without a joiner that had been sent its last part, or that had been let in late and is out again.",
  },
  joinersForced: {
    name: "joiners_forced",
    help: "Outsiders brought in because too few members were left.",
  },
  proxies: {
    name: "proxies",
    help: "Joiners of an earlier attempt that a proposal of this node counts on.",
  },
  admissions: { name: "admissions", help: "Views that admitted this node as a joiner." },
  belowMajority: {
    name: "below_majority",
    help: "Requests refused because there was no majority.",
  },
  votesWithheld: {
    name: "votes_withheld",
    help: "Votes that were not sent because a promise came first.",
  },
} as const satisfies Readonly<Record<string, CounterDescription>>;

/** The names in {@linkcode COUNTERS}. */
export type CounterName = keyof typeof COUNTERS;

/** The names of all counters, in the order of the table. */
export const COUNTER_NAMES = Object.keys(COUNTERS) as readonly CounterName[];

/** The counters of one process. */
export type Counters = Record<CounterName, number>;

/** Returns counters that all stand at 0. */
export function newCounters(): Counters {
  const zero = COUNTER_NAMES.map((name) => [name, 0]);
  return Object.fromEntries(zero) as Counters;
}
