/**
 * `member`: the list of nodes, and changes of it.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { type Address, formatAddress, parseAddress } from "../address.ts";
import { fromText, toText } from "../byte_string.ts";
import { now } from "../clock.ts";
import type { MemberList } from "../cluster_status.ts";
import { readCommandLine } from "../command_line.ts";
import { UsageError } from "../errors.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import type { TlsKeys } from "../tls.ts";
import { ConnectionError } from "./connection.ts";
import { addressesOf, callAnywhere, Connector } from "./connector.ts";
import type { Credentials } from "./credentials.ts";
import { formatError } from "./format.ts";
import { jsonLine, jsonText } from "./json.ts";
import { EXIT } from "./one_shot.ts";
import { isRejection } from "./refusals.ts";
import { formatList, formatRole } from "./status.ts";
import { formatTable } from "./table.ts";
import type { Output } from "./terminal.ts";

/** How often it looks how far a new node is, in milliseconds. */
const POLL_MS = 200;

/** A new node is not said to be missing before this time: it has to learn that it is in the list. */
const MISSING_MS = 2000;

/** How often that is printed where there is no terminal, in milliseconds. */
const NOTE_MS = 5000;

/** With whom, and how. */
export interface MemberOptions {
  readonly addresses: readonly Address[];
  readonly timeoutMs: number;
  readonly credentials: Credentials | undefined;
  readonly tls: TlsKeys | undefined;
  readonly output: Output;
  /** The result is JSON. */
  readonly asJson?: boolean;
}

/** What the node is asked to do: the subcommand and how many nodes it takes. */
const CHANGES: ReadonlyMap<string, number> = new Map([
  ["add", 1],
  ["remove", 1],
  ["replace", 2],
  ["cancel", 1],
]);

const USAGE = "dks client member list, add NODE, remove NODE, replace OLD NEW, or cancel NODE";

/**
 * Runs `dks client member` with these words. Returns the exit code.
 *
 * @throws {UsageError} if they are wrong.
 */
export async function member(words: readonly string[], options: MemberOptions): Promise<number> {
  const line = readCommandLine(words, { values: [], switches: ["json", "no-wait"] });
  const [name = "", ...given] = line.words;
  const count = name === "list" ? 0 : CHANGES.get(name);
  if (count === undefined) {
    const what = name === "" ? "" : `, not "${name}"`;
    throw new UsageError(`member takes list, add, remove, replace or cancel${what}: ${USAGE}`);
  }
  if (given.length !== count) {
    throw new UsageError(`member ${name} takes ${count} nodes, not ${given.length}: ${USAGE}`);
  }
  const mayWait = name === "add" || name === "replace";
  if (line.has("no-wait") && !mayWait) {
    throw new UsageError("--no-wait is for member add and member replace");
  }
  // As the nodes do: a name without a port has that of the node that is asked.
  const defaultPort = options.addresses[0]?.port ?? 0;
  const nodes = given.map((word) =>
    formatAddress(parseAddress(word, { defaultPort, name: `member ${name}` }))
  );
  const asJson = options.asJson === true || line.has("json");
  const session = new MemberSession({ ...options, asJson });
  try {
    if (name === "list") return await session.list();
    return await session.change(name, nodes, { isWaiting: mayWait && !line.has("no-wait") });
  } finally {
    session.close();
  }
}

class MemberSession {
  readonly #connector: Connector;
  readonly #output: Output;
  readonly #timeoutMs: number;
  readonly #asJson: boolean;
  #line = "";
  #notedAt = -Infinity;

  constructor(options: MemberOptions) {
    this.#connector = new Connector({ ...options, learns: true });
    this.#output = options.output;
    this.#timeoutMs = options.timeoutMs;
    this.#asJson = options.asJson === true;
  }

  close(): void {
    this.#connector.close();
  }

  async list(): Promise<number> {
    const found = await this.#fetchList();
    if (typeof found === "string") return await this.#fail(found);
    await this.#output.write(
      this.#asJson ? jsonText(found) : formatMemberList(found),
    );
    return EXIT.ok;
  }

  async change(
    name: string,
    nodes: readonly string[],
    { isWaiting }: { isWaiting: boolean },
  ): Promise<number> {
    const words = ["DKS.MEMBER", name.toUpperCase(), ...nodes.map(fromText)];
    // To ask for a change again does no harm: the list is as it was asked for, or will be.
    const reply = await this.#call(words);
    if (reply instanceof ErrorReply) return await this.#fail(formatError(reply));
    const node = nodes.at(-1) ?? "";
    if (isWaiting) return await this.#wait(node, Number(reply));
    await this.#tell(`view ${String(reply)}: ${doneText(name, nodes)}`, {
      view: reply,
      change: name,
      nodes,
    });
    return EXIT.ok;
  }

  /**
   * Waits until the node counts, and says meanwhile how far it is.
   *
   * @param since the view that lists it: a node that is behind, starts, or was removed itself knows nothing
   * of it
   */
  async #wait(node: string, since: number): Promise<number> {
    const missingAt = now() + MISSING_MS;
    for (;;) {
      const told = await this.#fetchList().catch((error) => {
        if (error instanceof ConnectionError) return undefined;
        throw error;
      });
      if (typeof told === "string") return await this.#fail(told);
      const found = told !== undefined && told.view >= since ? told : undefined;
      if (told !== found) await this.#goOnToNext();
      const row = found?.nodes.find(({ address }) => address === node);
      if (found !== undefined && row === undefined) {
        await this.#clear();
        return await this.#fail(`the addition of ${node} was called off`);
      }
      if (found !== undefined && row !== undefined && !row.isLearner) {
        await this.#clear();
        await this.#tell(`view ${found.view}: ${node} counts`, {
          view: found.view,
          node,
          counts: true,
        });
        return EXIT.ok;
      }
      if (row === undefined) await this.#progress("no node answers: trying on");
      else if (row.role !== "down" || now() >= missingAt) {
        await this.#progress(progressOf(row, found?.nodes ?? []));
      }
      await delay(POLL_MS);
    }
  }

  /** The next question goes to another node, if one is known. */
  async #goOnToNext(): Promise<void> {
    if (this.#connector.size < 2) return;
    const connection = await this.#connector.get().catch(() => undefined);
    if (connection !== undefined) await this.#connector.giveUp(connection);
  }

  async #tell(text: string, result: unknown): Promise<void> {
    await this.#output.write(this.#asJson ? jsonLine(result) : `${text}\n`);
  }

  async #progress(line: string): Promise<void> {
    const isTerminal = Deno.stderr.isTerminal();
    const at = now();
    if (line === this.#line || !isTerminal && at - this.#notedAt < NOTE_MS) return;
    this.#line = line;
    this.#notedAt = at;
    await this.#output.note(isTerminal ? `\r\x1b[K${line}` : `${line}\n`);
  }

  async #clear(): Promise<void> {
    if (this.#line !== "" && Deno.stderr.isTerminal()) await this.#output.note("\r\x1b[K");
  }

  /**
   * Returns the list, or why the node does not tell it.
   *
   * @throws {ConnectionError} if no node tells it now.
   */
  async #fetchList(): Promise<MemberList | string> {
    const reply = await this.#call(["DKS.MEMBER", "LIST"]);
    if (isRejection(reply)) {
      const { code, message } = reply;
      throw new ConnectionError(`${this.#connector.name} says: ${code} ${message}`, false);
    }
    if (reply instanceof ErrorReply) return formatError(reply);
    if (typeof reply !== "string") return `${this.#connector.name} is no dks node`;
    const list = JSON.parse(toText(reply) ?? "") as MemberList;
    this.#connector.learn(addressesOf(list));
    return list;
  }

  #call(words: readonly string[]): Promise<RespValue> {
    return callAnywhere(words, {
      connector: this.#connector,
      timeoutMs: this.#timeoutMs,
      mayRepeat: true,
    });
  }

  async #fail(reason: string): Promise<number> {
    await this.#output.note(`dks: ${reason}\n`);
    return EXIT.failed;
  }
}

function doneText(name: string, nodes: readonly string[]): string {
  const [first = "", second = ""] = nodes;
  switch (name) {
    case "add":
      return `${first} is being added`;
    case "replace":
      return `${second} is being added, to replace ${first}`;
    case "remove":
      return `${first} is not in the list any more`;
    default:
      return `the addition of ${first} was called off`;
  }
}

/** Says how far a node is that does not count yet. */
function progressOf(
  { address, role, chunks, keys }: MemberList["nodes"][number],
  nodes: MemberList["nodes"],
): string {
  if (role === "down") {
    const others = nodes.filter((one) => !one.isLearner && one.role !== "down");
    const names = others.map((one) => one.address).join(",");
    return `${address} is not there yet: if it does not run, start it with dks serve ` +
      `--join ${names} --advertise ${address}`;
  }
  const all = Math.max(0, ...nodes.map((one) => one.isLearner ? 0 : one.keys ?? 0));
  const part = all === 0 || keys === null ? "" : `, ${keys} of ${all} keys`;
  return `${address} gets what the others hold: ${chunks ?? 0} chunks${part}`;
}

/** Returns the list of nodes in human-readable form. */
export function formatMemberList(list: MemberList): string {
  const table = formatTable(
    ["node", "role", "keys"],
    list.nodes.map((node) => [
      node.address + (node.isSelf ? " *" : ""),
      formatRole(node),
      node.keys === null ? "-" : node.keys.toLocaleString("en-US"),
    ]),
    ["left", "left", "right"],
  );
  return `view ${list.view}\n${formatList(list)}\n${table}`;
}
