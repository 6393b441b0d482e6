/**
 * White-box checks: what must hold at every step inside of the nodes, whatever comes of it. A fault that
 * does damage once in a million runs mostly breaks one of these rules in every run.
 *
 * - What a message asserts stands in the sender's durable records (`assertions.ts`).
 * - One proposal a ballot; one process of one journal a ballot; one view a number; promises, accepted
 *   proposals and views of a journal never go back.
 * - A frozen node votes, grants, decides and acknowledges nothing, and what it has reported of a view's
 *   transactions stays as it is. A node that does not take part does none of that either.
 * - A transaction is committed when all members of its view have a durable prepared record of it, and
 *   never both committed and aborted in one view by its coordinator.
 * - A number is decided once, by the majority of the list of the view before. What a node takes for its list is
 *   that of a chosen view; from one view to the next there is one change. A node that is new in a list or in
 *   its members holds everything, and a majority of the list are members. A proposal is accepted only behind
 *   the view before it. Only members say anything about transactions.
 * - No key has two values under one version, or a lower version than before, at a node or anywhere, and no number of a journal means two transactions.
 *
 * The simulator reports what disks do to the checks; they see the rest by wrapping the outbox and
 * the store of each replica. They change nothing.
 *
 * @module
 */

import type { ByteString } from "../../src/byte_string.ts";
import {
  type Ballot,
  ballotName,
  isRecoveredCluster,
  type JournalRecord,
  type Message,
  MESSAGE_RULES,
  type MessageRule,
  type NodeId,
  type NodeSet,
  type Prepare,
  transactionName,
  type TransactionNumber,
  type TransactionReport,
  type View,
  type ViewPromise,
} from "../../src/two_phase/messages.ts";
import { learnerOf } from "../../src/two_phase/member_changes.ts";
import { contains, members, only, setOf, size } from "../../src/two_phase/node_set.ts";
import { configuredNodes, quorumOf, voters } from "../../src/two_phase/quorum.ts";
import type { Replica } from "../../src/two_phase/replica.ts";
import { whatIsNotDurable } from "./assertions.ts";
import { Ledger } from "./ledger.ts";

/** After so many, a run has shown enough. */
const VIOLATIONS_MAX = 5;

/** What is known of one process. */
interface Process {
  /** By what it is told apart from others: an id may be that of several machines, one after the other. */
  readonly machine: number;
  readonly replica: Replica;
  /** The id of the node. */
  readonly self: NodeId;
  readonly journal: string;
  readonly name: string;
  readonly ledger: Ledger;
  readonly starts: number;
  /** Parts of transfers that have come, by sender, transfer and number. */
  readonly parts: Map<string, object>;
}

/** A view that was chosen, and the nodes that count in it. */
interface Chosen {
  readonly view: View;
  readonly voters: NodeSet;
  /** Those, and the learners. */
  readonly listed: NodeSet;
}

/** A node that has accepted a proposal. */
interface Acceptor {
  readonly node: NodeId;
  readonly journal: string;
}

/** Looks into all nodes of one run. */
export class WhiteBox {
  /** What was seen: sentences. */
  readonly violations: string[] = [];
  readonly #processes = new Map<NodeId, Process>();
  /** By journal: what was durable when its last process ended. */
  readonly #past = new Map<string, Ledger>();
  /** Journals of which an older copy was put back: they held what the copy lacks. */
  readonly #copied = new Set<string>();
  readonly #proposers = new Map<string, string>();
  readonly #proposals = new Map<string, string>();
  readonly #views = new Map<string, string>();
  /** By cluster and number: the view as it was chosen, under the lowest ballot that was seen. */
  readonly #chosen = new Map<string, Chosen>();
  /** By cluster and number: what a majority has accepted under one ballot. */
  readonly #decided = new Map<string, string>();
  /** By ballot and content: the nodes that have a proposal durably, with their journals. */
  readonly #acceptors = new Map<string, Map<string, Acceptor>>();
  /** By transaction: the nodes that had a prepared record durably, at any time. */
  readonly #prepared = new Map<string, NodeSet>();
  readonly #numbers = new Map<string, Prepare>();
  readonly #values = new Map<ByteString, Map<number, ByteString | undefined>>();
  /** By journal: the first report of the transactions of a view. */
  readonly #reports = new Map<string, ViewPromise>();

  // --- What the simulated world tells ---------------------------------------------------------

  /** A process begins on a disk with these records, on which it is the process number `starts`. */
  onStart(
    node: NodeId,
    replica: Replica,
    disk: { journal: string; starts: number; records: readonly JournalRecord[] },
  ): void {
    const { journal, starts, records } = disk;
    const ledger = new Ledger(records);
    const { process: name } = replica.membership.identity;
    const { self } = replica.context;
    const parts = new Map<string, object>();
    const process = { machine: node, replica, self, journal, name, ledger, starts, parts };
    this.#processes.set(node, process);
    this.#compare(node, process);
    for (const record of records) this.#onDurable(process, record);
    this.#watch(node, process);
  }

  /** The world begins with this view: all of its members have accepted it. */
  begin(view: View): void {
    for (const node of members(view.members)) {
      this.#noteAcceptor(view, { node, journal: view.journals[node] ?? "" });
    }
    this.#noteChosen(view);
    this.#ballots.set(view.number, view.ballot);
  }

  /** The process of `node` is gone. */
  onEnd(node: NodeId): void {
    const process = this.#processes.get(node);
    if (process === undefined) return;
    this.#past.set(process.journal, process.ledger);
    this.#processes.delete(node);
  }

  /** The journal is another one now, or an older copy: nothing is expected of it. */
  forgetJournal(journal: string): void {
    this.#past.delete(journal);
    this.#copied.add(journal);
    for (const key of this.#reports.keys()) {
      if (key.startsWith(`${journal} `)) this.#reports.delete(key);
    }
  }

  /** A new cluster is started by force: what was is over. */
  forget(): void {
    this.#past.clear();
    this.#reports.clear();
    this.#values.clear();
  }

  /** These records are on the disk of `node`. */
  onDurable(node: NodeId, records: readonly JournalRecord[]): void {
    const process = this.#processes.get(node);
    if (process === undefined) return;
    for (const record of records) {
      process.ledger.add(record);
      this.#onDurable(process, record);
      if (record.type === "accepted") this.#checkAcceptance(process, record.proposal);
    }
  }

  /** `node` is about to take in `message`. */
  onMessage(node: NodeId, from: NodeId, message: Message): void {
    if (message.type !== "joinChunk") return;
    const { transfer, chunk, entries } = message;
    this.#processes.get(node)?.parts.set(`${from} ${transfer} ${chunk}`, entries);
  }

  /** `altered` leaves `node` in the place of `made`, which the protocol has made. */
  onAltered(
    node: NodeId,
    to: NodeId,
    { made, altered }: { made: Message; altered: Message },
  ): void {
    const process = this.#processes.get(node);
    if (process === undefined) return;
    if (altered.type === "viewPromise") this.#onReport(node, process, altered);
    // More may be durable by now than when it was made.
    if (this.#missing({ to, message: made, process }) !== undefined) return;
    this.#assert(node, { to, message: altered, process });
  }

  // --- One process ----------------------------------------------------------------------------

  #watch(node: NodeId, process: Process): void {
    const { outbox, store } = process.replica.context;
    const send = outbox.send.bind(outbox);
    outbox.send = (to, message) => {
      for (const receiver of members(to)) this.#assert(node, { to: receiver, message, process });
      if (to !== 0) this.#onMessageMade(node, process, message);
      send(to, message);
    };
    const append = outbox.append.bind(outbox);
    outbox.append = (record) => {
      this.#onAppend(node, process, record);
      append(record);
    };
    const write = store.write.bind(store);
    store.write = (entry, value, version, ...rest) => {
      if (version > 0) this.#onWrite(node, { key: entry.key, value, version });
      if (version > 0 && version < entry.version) {
        this.#say(node, `goes back from version ${entry.version} of ${entry.key} to ${version}`);
      }
      write(entry, value, version, ...rest);
    };
  }

  #say(node: NodeId, text: string): void {
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(`n${node} ${text}`);
  }

  #assert(node: NodeId, about: { to: NodeId; message: Message; process: Process }): void {
    const missing = this.#missing(about);
    if (missing === undefined) return;
    const { to, message: { type } } = about;
    this.#say(node, `sends n${to} ${type}, and does not have on its disk ${missing}`);
  }

  #missing(
    about: { to: NodeId; message: Message; process: Process },
  ): string | undefined {
    const { to, message, process: { replica, self, ledger, starts, parts } } = about;
    return whatIsNotDurable(message, {
      self,
      to,
      ledger,
      starts,
      accepted: replica.membership.accepted?.ballot ?? 0,
      promised: replica.membership.promised,
      partFrom: (transfer, chunk) => parts.get(`${to} ${transfer} ${chunk}`),
    });
  }

  #onMessageMade(node: NodeId, process: Process, message: Message): void {
    const { membership } = process.replica;
    const rule: MessageRule = MESSAGE_RULES[message.type];
    if (isFrozen(process.replica) && rule.about === "transaction") {
      this.#say(node, `is frozen, and sends ${message.type}`);
    }
    if (rule.about === "transaction" && !isInView(process)) {
      this.#say(node, `is no member of view ${membership.view.number}, and sends ${message.type}`);
    } else if (rule.about === "view") this.#checkList(process);
    const takesPart = rule.about === "transaction" || TAKING_PART.has(message.type);
    if (takesPart && !membership.isVerified) {
      this.#say(node, `does not take part yet, and sends ${message.type}`);
    }
    switch (message.type) {
      case "heartbeatAcknowledged":
        if (membership.promised > this.#highestBallotOf(message.view, membership.view)) {
          this.#say(
            node,
            `has promised ${ballotName(membership.promised)}, and gives a lease below`,
          );
        }
        return;
      case "viewPrepare":
        this.#once(
          this.#proposers,
          `${message.ballot} ${process.journal}`,
          process.name,
          (before) =>
            this.#say(
              node,
              `uses ballot ${ballotName(message.ballot)} as ${process.name}, which ` +
                `${before} has used`,
            ),
        );
        return;
      case "viewAccept":
        this.#once(
          this.#proposals,
          `${message.ballot} ${process.journal}`,
          JSON.stringify(message.proposal),
          (before) =>
            this.#say(
              node,
              `proposes ${JSON.stringify(message.proposal)} under ballot ` +
                `${ballotName(message.ballot)}, which was used for ${before}`,
            ),
        );
        return;
      case "viewPromise":
        this.#onReport(node, process, message);
        return;
    }
  }

  /** By number of a view: the highest ballot under which it is installed anywhere. */
  readonly #ballots = new Map<number, Ballot>();

  #highestBallotOf(number: number, { ballot }: View): Ballot {
    return Math.max(ballot, this.#ballots.get(number) ?? 0);
  }

  /** The first view of a cluster that is begun by force comes with the journal. */
  #noteBallot({ number, ballot }: View): void {
    this.#ballots.set(number, Math.max(this.#ballots.get(number) ?? 0, ballot));
  }

  #once(
    known: Map<string, string>,
    key: string,
    value: string,
    complain: (before: string) => void,
  ): void {
    const before = known.get(key);
    if (before === undefined) known.set(key, value);
    else if (before !== value) complain(before);
  }

  /** What a node has said with its promise of the transactions of a view is its last word. */
  #onReport(node: NodeId, { journal }: Process, promise: ViewPromise): void {
    const { installed, isMember, isJoined } = promise;
    if (!isMember && !isJoined || installed.number === 0) return;
    const key = `${journal} ${installed.cluster.id} ${installed.number} ${isMember}`;
    const first = this.#reports.get(key);
    if (first === undefined) {
      this.#reports.set(key, promise);
      return;
    }
    const difference = differenceOf(first, promise) ?? differenceOf(promise, first);
    if (difference === undefined) return;
    this.#say(node, `reports view ${installed.number} twice, and differs in ${difference}`);
  }

  #onAppend(node: NodeId, process: Process, record: JournalRecord): void {
    const { replica, journal, self } = process;
    const { membership } = replica;
    const isOfTransaction = record.type === "prepared" || record.type === "committed" ||
      record.type === "aborted";
    if (isOfTransaction && isFrozen(replica)) {
      this.#say(node, `is frozen, and appends ${record.type}`);
    }
    switch (record.type) {
      case "prepared":
        if (record.coordinator === self) this.#onNumber(process, record.prepare);
        return;
      case "committed":
        if (record.coordinator === self) {
          this.#onCommit(process, membership.view, record.number);
          this.#onNewVersions(node, this.#numbers.get(`${journal} ${self} ${record.number}`));
        }
        return;
      case "view":
        this.#onView(node, record.view);
        return;
      case "promise":
        if (record.ballot < membership.promised) {
          this.#say(node, `promises ${ballotName(record.ballot)} after a higher ballot`);
        }
        return;
    }
  }

  #onNumber({ machine: node, self, journal }: Process, prepare: Prepare): void {
    const key = `${journal} ${self} ${prepare.number}`;
    const before = this.#numbers.get(key);
    if (before === undefined) this.#numbers.set(key, prepare);
    else if (before !== prepare && JSON.stringify(before) !== JSON.stringify(prepare)) {
      this.#say(node, `gives the number ${transactionName(self, prepare.number)} twice`);
    }
  }

  #onCommit({ machine: node, self }: Process, view: View, number: TransactionNumber): void {
    const holders = this.#prepared.get(preparedKey(view, self, number)) ?? 0;
    const missing = view.members & ~holders;
    if (missing === 0) return;
    const names = members(missing).map((member) => `n${member}`).join(", ");
    this.#say(node, `commits ${transactionName(self, number)}, which is not durable at ${names}`);
  }

  /** A write has a higher version than whatever was committed of the key before, deletions too. */
  #onNewVersions(node: NodeId, prepare: Prepare | undefined): void {
    for (const { key } of prepare?.effects ?? []) {
      const version = prepare?.version ?? 0;
      const known = this.#values.get(key);
      // A view may have committed it already, and others have gone on from there.
      if (known === undefined || known.has(version)) continue;
      const higher = [...known.keys()].find((other) => other > version);
      if (higher !== undefined) {
        this.#say(node, `commits ${key} under version ${version}, after version ${higher}`);
      }
    }
  }

  /** A number is one view: no node installs another one. And it must have been chosen. */
  #onView(node: NodeId, view: View): void {
    const content = contentOf(view);
    const key = `${view.cluster.id} ${view.number}`;
    this.#noteBallot(view);
    this.#once(
      this.#views,
      key,
      content,
      (before) => this.#say(node, `installs view ${view.number} ${content}, which was ${before}`),
    );
    // The first views of a cluster that was started by force are chosen by one node.
    if (view.cluster.origin !== undefined) return;
    const before = this.#chosen.get(`${view.cluster.id} ${view.number - 1}`);
    const isNew = !this.#chosen.has(key);
    this.#noteChosen(view);
    if (!this.#isDecided(view, before?.view ?? view)) {
      this.#say(node, `installs view ${view.number}, which no majority has accepted`);
    }
    if (isNew && before !== undefined) this.#compareLists(node, before, view);
  }

  // --- Lists of nodes --------------------------------------------------------------------------

  /** The first ballot under which a view is known is the lowest, but where two proposers had it chosen. */
  #noteChosen(view: View): void {
    const key = keyOf(view);
    const known = this.#chosen.get(key);
    if (known !== undefined && known.view.ballot <= view.ballot) return;
    this.#chosen.set(key, { view, voters: voters(view), listed: configuredNodes(view) });
  }

  #noteAcceptor(proposal: View, acceptor: Acceptor): void {
    const key = acceptedKey(proposal);
    let known = this.#acceptors.get(key);
    if (known === undefined) this.#acceptors.set(key, known = new Map());
    known.set(`${acceptor.node} ${acceptor.journal}`, acceptor);
  }

  /**
   * Tells whether a majority has accepted `proposal`: of the nodes that count in the view `before`, each with
   * the journal that is listed there. All count in the first view.
   */
  #isDecided(proposal: View, before: View): boolean {
    const isFirst = before.number === proposal.number;
    const acceptors = [...this.#acceptors.get(acceptedKey(proposal))?.values() ?? []];
    const counting = acceptors.filter(({ node, journal }) =>
      isFirst || before.journals[node] === journal
    );
    return quorumOf(before).isReachedBy(setOf(counting.map(({ node }) => node)));
  }

  /** A number is decided once, whether a node has heard of it or not. */
  #checkDecision(node: NodeId, proposal: View): void {
    const before = this.#chosen.get(`${proposal.cluster.id} ${proposal.number - 1}`)?.view;
    if (before === undefined || isRecoveredCluster(before)) return;
    if (!this.#isDecided(proposal, before)) return;
    const { number } = proposal;
    this.#once(
      this.#decided,
      keyOf(proposal),
      contentOf(proposal),
      (other) =>
        this.#say(node, `decides view ${number} ${contentOf(proposal)}, which was ${other}`),
    );
  }

  /** What a node takes for its list is that of a view that was chosen. */
  #checkList({ machine, replica: { membership } }: Process): void {
    const { view, quorum, all } = membership;
    const chosen = this.#chosen.get(keyOf(view));
    if (chosen === undefined) return;
    if (quorum.nodes === chosen.voters && all === chosen.listed) return;
    const namesOf = (set: NodeSet) => members(set).join(" ");
    this.#say(
      machine,
      `counts the nodes ${namesOf(quorum.nodes)} of ${namesOf(all)} in view ${view.number}, in ` +
        `which ${namesOf(chosen.voters)} of ${namesOf(chosen.listed)} count`,
    );
  }

  /** What may change from one view to the next. */
  #compareLists(node: NodeId, before: Chosen, view: View): void {
    const { number, learners = [] } = view;
    const after = voters(view);
    const come = after & ~before.voters;
    const gone = before.voters & ~after;
    if (learners.length > 1) this.#say(node, `installs view ${number}, which has two learners`);
    const isWaiting = learners.some(({ node }) => learnerOf(before.view, node) !== undefined);
    if (size(come) > 1 || size(gone) > 1 || isWaiting && (come | gone) !== 0) {
      this.#say(node, `installs view ${number}, which makes two changes of the list at once`);
    }
    if ((come & ~view.members) !== 0) {
      this.#say(node, `installs view ${number}, in which a new node counts that is no member`);
    }
    if ((view.members & ~after) !== 0) {
      this.#say(node, `installs view ${number}, with a member that does not count`);
    }
    if (!quorumOf(view).isReachedBy(view.members)) {
      this.#say(node, `installs view ${number}, whose members are no majority of its list`);
    }
    for (const member of members(view.members)) {
      const journal = view.journals[member] ?? "";
      const was = contains(before.view.members, member) &&
        before.view.journals[member] === journal;
      const ledger = was ? undefined : this.#ledgerOf(journal);
      if (ledger === undefined || this.#copied.has(journal)) continue;
      if ([...ledger.joined].some((ballot) => ballot > before.view.ballot)) continue;
      this.#say(node, `installs view ${number}, whose member n${member} does not hold everything`);
    }
  }

  /** What is durable in the journal with this id, or was when its last process ended. */
  #ledgerOf(journal: string): Ledger | undefined {
    for (const process of this.#processes.values()) {
      if (process.journal === journal) return process.ledger;
    }
    return this.#past.get(journal);
  }

  /** A node that lacks the view before might forget what it has accepted for that number. */
  #checkAcceptance({ machine, ledger }: Process, { number }: View): void {
    if ((ledger.view?.number ?? 0) >= number - 1) return;
    this.#say(machine, `accepts view ${number} in view ${ledger.view?.number ?? 0}`);
  }

  #onDurable({ machine, self: node, journal, ledger }: Process, record: JournalRecord): void {
    if (record.type === "prepared") {
      const { prepare, coordinator } = record;
      const { view } = ledger;
      // A record that a later process finds is of a view that it has not left.
      if (view === undefined || view.number !== prepare.view) return;
      const key = preparedKey(view, coordinator, prepare.number);
      this.#prepared.set(key, (this.#prepared.get(key) ?? 0) | only(node));
    } else if (record.type === "accepted") {
      this.#noteAcceptor(record.proposal, { node, journal });
      this.#checkDecision(machine, record.proposal);
    } else if (record.type === "view" || record.type === "membership") {
      this.#noteBallot(record.view);
    }
  }

  #onWrite(
    node: NodeId,
    { key, value, version }: { key: ByteString; value: ByteString | undefined; version: number },
  ): void {
    let versions = this.#values.get(key);
    if (versions === undefined) this.#values.set(key, versions = new Map());
    if (!versions.has(version)) versions.set(version, value);
    else if (versions.get(version) !== value) {
      this.#say(
        node,
        `gives ${key} the value ${value ?? "(none)"} under version ${version}, which has ` +
          `${versions.get(version) ?? "(none)"}`,
      );
    }
  }

  /** What a process finds is no less than what was durable when the one before it ended. */
  #compare(node: NodeId, { journal, ledger, starts }: Process): void {
    const past = this.#past.get(journal);
    if (past === undefined || starts === 1) return;
    if (ledger.promised < past.promised) {
      this.#say(
        node,
        `starts with the promise ${ballotName(ledger.promised)} on a journal that had ` +
          ballotName(past.promised),
      );
    }
    if ((ledger.view?.number ?? 0) < (past.view?.number ?? 0)) {
      this.#say(node, `starts in view ${ledger.view?.number ?? 0} after ${past.view?.number ?? 0}`);
    }
    if (ledger.view?.number !== past.view?.number) return;
    const accepted = past.acceptedAfter(past.view);
    if (
      accepted !== undefined && (ledger.acceptedAfter(ledger.view)?.ballot ?? 0) < accepted.ballot
    ) {
      this.#say(node, `starts without the proposal of ballot ${ballotName(accepted.ballot)}`);
    }
    for (const { coordinator, number } of past.undecided()) {
      if (ledger.progressOf(coordinator, number) !== undefined) continue;
      if (ledger.unsettled(coordinator, number) === undefined) continue;
      this.#say(node, `starts without ${transactionName(coordinator, number)}, which was prepared`);
    }
  }
}

/** What a node says only once it takes part, beside what is said about transactions. */
const TAKING_PART: ReadonlySet<Message["type"]> = new Set([
  "viewPrepare",
  "viewPromise",
  "viewAccept",
  "viewAccepted",
  "heartbeatAcknowledged",
]);

/** By its numbers, whatever the protocol says of itself. */
function isFrozen({ membership: { promised, view } }: Replica): boolean {
  return promised > view.ballot;
}

/** A view, but for the ballot: it may be chosen again under a later one. */
function contentOf(view: View): string {
  return JSON.stringify({ ...view, ballot: 0 });
}

/** By its numbers, whatever the protocol says of itself. */
function isInView({ self, journal, replica: { membership: { view } } }: Process): boolean {
  return contains(view.members, self) && view.journals[self] === journal;
}

function keyOf({ cluster, number }: View): string {
  return `${cluster.id} ${number}`;
}

function acceptedKey(proposal: View): string {
  return `${proposal.ballot} ${contentOf(proposal)}`;
}

function preparedKey({ cluster, number: view }: View, node: NodeId, number: number): string {
  return `${cluster.id} ${view} ${node} ${number}`;
}

/** Returns what `other` does not say as `report` does. */
function differenceOf(report: TransactionReport, other: TransactionReport): string | undefined {
  for (const { coordinator, number, state } of report.table) {
    if (number <= (other.marks[coordinator] ?? 0)) continue;
    const entry = other.table.find((one) =>
      one.coordinator === coordinator && one.number === number
    );
    if (entry?.state !== state) return transactionName(coordinator, number);
  }
  return undefined;
}
