/**
 * The interactive prompt.
 *
 * @module
 */

import { stdin, stdout } from "node:process";
import { createInterface } from "node:readline";
import { bold, dim, red } from "@std/fmt/colors";
import { type ByteString, fromText, toBytes } from "../byte_string.ts";
import { messageOf } from "../errors.ts";
import { ProtocolError, splitInline } from "../resp/command_decoder.ts";
import { ErrorReply, type RespValue } from "../resp/value.ts";
import type { Address } from "../address.ts";
import { type ClientConnection, ConnectionError } from "./connection.ts";
import type { TlsKeys } from "../tls.ts";
import { callAnywhere, Connector } from "./connector.ts";
import { Conversation } from "./conversation.ts";
import type { Credentials } from "./credentials.ts";
import { formatReply } from "./format.ts";
import { EXIT } from "./one_shot.ts";
import { formatStatus, statusOf } from "./status.ts";
import { readInputLines } from "../standard_streams.ts";
import { type Output, terminalColumns } from "./terminal.ts";
import { now } from "../clock.ts";

/** Lines that the arrow keys bring back. */
const HISTORY_MAX = 1000;

/** What `help` prints: fits in 80 columns. */
export const PROMPT_HELP = `put KEY VALUE      sets the value of a key
get KEY            prints the value of a key
delete KEY...      deletes keys, prints how many there were
exists KEY...      prints how many of the keys exist
outcome ID         tells how a transaction ended that an error has named
status             prints the cluster as this node sees it
help               prints this
exit, Ctrl-D       ends the prompt
The arrow keys bring back lines, and Tab completes the name of a command.
Anything else is sent to the node: mget, mset, strlen, dbsize, info, ping…
Words with blanks go in "quotes", in which \\n, \\t, \\", \\\\ and \\xHH may stand.
`;

/** Reads commands from standard input and runs them until the input ends. */
export async function runPrompt(options: {
  readonly addresses: readonly Address[];
  readonly timeoutMs: number;
  readonly credentials?: Credentials | undefined;
  readonly tls?: TlsKeys | undefined;
  readonly output: Output;
}): Promise<number> {
  const isAtTerminal = Deno.stdin.isTerminal() && options.output.isTerminal;
  const session = new PromptSession({ ...options, isScript: !isAtTerminal });
  await session.connect();
  try {
    if (isAtTerminal) {
      await runAtTerminal(session, options.output);
      return EXIT.ok; // The user has seen what failed.
    }
    for await (const line of readInputLines()) {
      if (!await session.run(line)) break;
    }
    return session.hasFailed ? EXIT.failed : EXIT.ok;
  } finally {
    session.close();
  }
}

/** The words of the prompt that are no commands of the node. */
const OWN_WORDS: readonly string[] = ["exit", "help", "outcome", "quit", "status"];

/**
 * Returns what the last word of `line` may be: of the first word, the names that begin with it. Names are
 * in lower case, in order.
 *
 * @param commands the names of the node's commands, in lower case
 */
export function completionsOf(line: string, commands: readonly string[]): string[] {
  const word = line.trimStart().toLowerCase();
  if (/\s/.test(word)) return [];
  const names = new Set([...OWN_WORDS, ...commands]);
  return [...names].filter((name) => name.startsWith(word)).sort();
}

async function runAtTerminal(session: PromptSession, output: Output): Promise<void> {
  const commands = await session.commandNames();
  const lines = createInterface({
    completer: (line: string) => [completionsOf(line, commands), line.trimStart()],
    input: stdin,
    output: stdout,
    terminal: true,
    historySize: HISTORY_MAX,
    prompt: `${session.name}> `,
  });
  await output.write(`Connected to ${bold(session.name)}. ${dim("help tells more.")}\n`);
  lines.on("SIGINT", () => {
    lines.write(null, { ctrl: true, name: "u" }); // As in a shell: the line is dropped.
    stdout.write("\n");
    lines.prompt();
  });
  lines.prompt();
  for await (const line of lines) {
    if (!await session.run(String(line))) break;
    lines.setPrompt(`${session.name}> `); // It may have gone to another node.
    lines.prompt();
  }
  lines.close();
  await output.write("\n");
}

/** One session at the prompt: keeps the connection, and replaces it when it breaks. */
class PromptSession {
  hasFailed = false;
  readonly #timeoutMs: number;
  readonly #output: Output;
  readonly #connector: Connector;
  readonly #conversation: Conversation;

  constructor(options: {
    readonly addresses: readonly Address[];
    readonly timeoutMs: number;
    readonly credentials?: Credentials | undefined;
    readonly tls?: TlsKeys | undefined;
    readonly output: Output;
    readonly isScript: boolean;
  }) {
    const { timeoutMs, isScript } = options;
    const connector = new Connector({ ...options, learns: true });
    this.#connector = connector;
    this.#conversation = new Conversation({ connector, timeoutMs, isScript });
    this.#timeoutMs = timeoutMs;
    this.#output = options.output;
  }

  /** Returns the connection; makes it if there is none. */
  async connect(): Promise<ClientConnection> {
    return await this.#connector.get();
  }

  /** The node that was reached last. */
  get name(): string {
    return this.#connector.name;
  }

  close(): void {
    this.#connector.close();
  }

  /** Returns the names of the node's commands, in lower case; none if it does not tell them. */
  async commandNames(): Promise<readonly string[]> {
    try {
      const reply = await callAnywhere(["COMMAND", "LIST"], {
        connector: this.#connector,
        timeoutMs: this.#timeoutMs,
        mayRepeat: true,
      });
      if (!Array.isArray(reply)) return [];
      return reply.filter((name) => typeof name === "string" && !name.includes("|"))
        .map((name) => String(name).toLowerCase());
    } catch (error) {
      if (error instanceof ConnectionError) return []; // The first command will say it.
      throw error;
    }
  }

  /** Runs one line. Returns whether there may be another. */
  async run(line: string): Promise<boolean> {
    let words: ByteString[];
    try {
      words = splitInline(toBytes(fromText(line)));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      await this.#fail("the quotes are not balanced");
      return true;
    }
    const [name = ""] = words;
    switch (name.toLowerCase()) {
      case "":
        return true;
      case "exit":
      case "quit":
        return false;
      case "help":
      case "?":
        await this.#output.write(PROMPT_HELP);
        return true;
      default:
        await this.#call(words);
        return true;
    }
  }

  async #call(words: readonly ByteString[]): Promise<void> {
    try {
      if (words.length === 1 && words[0]?.toLowerCase() === "status") {
        await this.#showStatus();
        return;
      }
      const begin = now();
      const reply = await this.#conversation.call(translated(words), { mayRepeat: false });
      await this.#show(reply, now() - begin);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      const doubt = error.maybeDone ? "; whether the command was carried out is not known" : "";
      await this.#fail(`${messageOf(error)}${doubt}`);
    }
  }

  async #showStatus(): Promise<void> {
    if (this.#conversation.isQueueing) {
      return await this.#fail("status cannot be asked between MULTI and EXEC");
    }
    const reply = await this.#conversation.call(["DKS.STATUS"], { mayRepeat: true });
    await this.#output.write(formatStatus(statusOf(reply, this.#connector.name)));
  }

  async #show(reply: RespValue, ms: number): Promise<void> {
    if (reply instanceof ErrorReply) this.hasFailed = true;
    const text = formatReply(reply);
    const time = dim(`(${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms)`);
    const fits = !text.includes("\n") && text.length + 12 < terminalColumns();
    await this.#output.write(this.#output.isTerminal && fits ? `${text} ${time}\n` : `${text}\n`);
  }

  async #fail(message: string): Promise<void> {
    this.hasFailed = true;
    await this.#output.note(`${red(message)}\n`);
  }
}

/** Returns the command to send to the node: the prompt has a short name for one of them. */
function translated([name = "", ...words]: readonly ByteString[]): readonly ByteString[] {
  return [name.toLowerCase() === "outcome" ? "DKS.OUTCOME" : name, ...words];
}
