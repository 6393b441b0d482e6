/**
 * `dks client`: reads the command line, and runs the command.
 *
 * @module
 */

import { type Address, parsePort } from "../address.ts";
import { type ByteString, fromText, toBytes } from "../byte_string.ts";
import { type CommandLine, parseInteger, readCommandLine } from "../command_line.ts";
import { parseDurationMs } from "../duration.ts";
import { messageOf, UsageError } from "../errors.ts";
import { CONFIG_BYTES_MAX, VALUE_BYTES_LIMIT } from "../limits.ts";
import { ProtocolError, splitInline } from "../resp/command_decoder.ts";
import type { TlsKeys } from "../tls.ts";
import { ClosedPipeError, readInput, readSecret, StreamError } from "../standard_streams.ts";
import type { BenchOptions } from "./bench.ts";
import { ConnectionError } from "./connection.ts";
import { callAnywhere, callOnce, Connector } from "./connector.ts";
import { type Credentials, credentialsOf, parseServers } from "./credentials.ts";
import { checkOneShot, EXIT, runOneShot } from "./one_shot.ts";
import { jsonLine, jsonText } from "./json.ts";
import { member } from "./member.ts";
import { parseOperations } from "./operations_file.ts";
import { LiveLine } from "./progress_bar.ts";
import { runPrompt } from "./prompt.ts";
import { formatReport, run, type RunOptions } from "./run.ts";
import { formatStatus, statusOf } from "./status.ts";
import { setUpColors, standardOutput } from "./terminal.ts";
import { parseTlsBundle } from "./tls_bundle.ts";
import { top } from "./top.ts";
import { waitReady } from "./wait_ready.ts";
import { watch } from "./watch.ts";

/** What `dks client --help` prints. */
export const CLIENT_HELP = `dks client: talks to a cluster

usage: dks client [options]                  an interactive prompt
       dks client [options] COMMAND ...      one command

  -s, --server LIST    the node to talk to, host or host:port; of several, the
                       first that can be reached, and the next one if that one
                       rejects a command (localhost). Or a URL:
                       redis://USER:PASSWORD@HOST:PORT, or rediss:// for TLS
  -p, --port PORT      the port if LIST names none (5000)
      --user NAME      the user to be
      --pass PASSWORD  its password; - reads a line of standard input, which
                       other users of the machine cannot see
      --tls            speaks TLS; the certificate of the node must be of one
                       of the public authorities, and for the name in LIST
      --cacert -       of one of these authorities instead: reads their
                       certificates, in PEM, from standard input; a private
                       key there, and its certificate, are the client's own
      --timeout TIME   how long to wait for an answer (10s)
      --json           prints the result of the command as JSON; errors stay
                       one line on standard error, and exit codes what they are
  -h, --help           prints this

commands:
  put KEY VALUE        sets a key; VALUE - reads the value from standard input
  get KEY              prints the value and nothing else
  delete KEY...        deletes keys; if the connection breaks, put and delete
                       are sent again, to the next node, and take effect once
  exists KEY           prints yes or no
  outcome ID           tells how a transaction that an error named has ended;
                       exit code 0 committed, 1 aborted, 3 not known
  raw COMMAND WORD...  sends any command of the Redis protocol
  export > FILE        writes all keys to a file, as they are at one moment
  import < FILE        sets the keys of such a file; others stay as they are
  status [--json]      prints the cluster as the node sees it
  top                  shows the cluster and the slowest commands of the node,
                       again every second until q or Ctrl-C; without a
                       terminal, once
  member [options] list, add NODE, replace OLD NEW, remove NODE, cancel NODE
                       prints the nodes of the cluster, or changes them; add
                       and replace wait until the new node holds everything
                       and counts, cancel calls that off
      --no-wait        add and replace: without waiting
  wait-ready [--timeout TIME]
                       waits until each node of LIST is a member with a lease
                       (30s); if it is not by then, one line and exit code 3
  watch                prints changes of the view and of the nodes as they
                       happen, as the nodes of the list see them, until Ctrl-C
  run [options] < FILE replays an operations file (lines PUT,key,value GET,key
                       DELETE,key) and prints latencies and throughput
      --connections N  connections that share the operations (1: in
                       the file's order)
      --pipeline N     operations under way on each connection (1)
      --repeat N       how often the file is replayed (1)
      --reconnect      opens a new connection for each operation
      --retry          sends a write again if its connection broke; the nodes
                       keep a token for each write, and do it once
  bench [options]      loads any server of the Redis protocol, and prints
                       latencies and throughput; its clients are spread over
                       all nodes of LIST
      --clients N      clients, each with a connection of its own (50)
      --pipeline N     requests under way on each at a time (1)
      --size N         bytes of a value (100)
      --keys N         how many keys, each as likely as the others (10000)
      --ratio W:R      W times SET for R times GET (1:1)
      --command TEXT   sends this instead of both, with __key__ for a key and
                       __data__ for a value: "SETEX __key__ 60 __data__"
      --rate N         requests per second, due at fixed times: one that has
                       to wait for earlier replies counts from when it was due;
                       without it each client waits for its replies
      --duration TIME  how long (10s); Ctrl-C ends it earlier

Exit codes: 0 done, 1 the key does not exist, 2 wrong usage, 3 failed.
`;

interface ClientOptions {
  readonly addresses: readonly Address[];
  readonly timeoutMs: number;
  readonly credentials: Credentials | undefined;
  readonly tls: TlsKeys | undefined;
  /** The result is JSON. */
  readonly asJson: boolean;
  readonly words: readonly string[];
}

/**
 * Runs `dks client` with these arguments. Returns the exit code.
 *
 * @throws {UsageError} if the arguments are wrong.
 */
export async function client(args: readonly string[]): Promise<number> {
  setUpColors();
  try {
    const options = await parseClientOptions(args);
    if (options !== "help") return await runCommand(options);
    await standardOutput.write(CLIENT_HELP);
    return EXIT.ok;
  } catch (error) {
    if (error instanceof ClosedPipeError) return EXIT.failed;
    if (!(error instanceof ConnectionError || error instanceof StreamError)) throw error;
    const isInDoubt = error instanceof ConnectionError && error.maybeDone;
    const doubt = isInDoubt ? "; whether the command was carried out is not known" : "";
    await standardOutput.note(`dks: ${messageOf(error)}${doubt}\n`);
    return EXIT.failed;
  }
}

async function parseClientOptions(args: readonly string[]): Promise<ClientOptions | "help"> {
  const line = readCommandLine(args, {
    values: ["server", "port", "timeout", "user", "pass", "cacert"],
    switches: ["help", "tls", "json"],
    alias: { s: "server", p: "port", h: "help" },
  }, { stopsAtWord: true });
  if (line.has("help")) return "help";
  const defaultPort = parsePort(line.value("port") ?? "5000", "--port");
  const servers = parseServers(line.value("server") ?? "localhost", defaultPort);
  const timeoutMs = parseDurationMs(line.value("timeout") ?? "10s", "--timeout");
  const { words } = line;
  let password = line.value("pass") ?? servers.password;
  if (password === "-") {
    if (!Deno.stdin.isTerminal() && readsInput(words)) {
      const what = words[0] ?? "the prompt";
      throw new UsageError(
        `--pass - and ${what} both read standard input: give one of them in another way`,
      );
    }
    password = await readSecret("password: ");
  }
  const credentials = credentialsOf({ user: line.value("user") ?? servers.user, password });
  const tls = await readTls(line, { isTls: servers.isTls || line.has("tls"), words });
  const asJson = line.has("json");
  if (asJson && words.length === 0) {
    throw new UsageError("--json is for commands: dks client --json COMMAND");
  }
  return { addresses: servers.addresses, timeoutMs, credentials, tls, asJson, words };
}

/** Returns whom to believe; `undefined` if TLS is not spoken. */
async function readTls(
  line: CommandLine,
  { isTls, words }: { isTls: boolean; words: readonly string[] },
): Promise<TlsKeys | undefined> {
  const from = line.value("cacert");
  if (!isTls) {
    if (from === undefined) return undefined;
    throw new UsageError("--cacert is of no use without --tls, or a rediss:// URL");
  }
  if (from === undefined) return {};
  if (from !== "-") {
    throw new UsageError(
      `dks opens no files: --cacert takes -, and reads standard input, not "${from}"`,
    );
  }
  if (line.value("pass") === "-" || readsInput(words)) {
    const what = line.value("pass") === "-" ? "--pass -" : words[0] ?? "the prompt";
    throw new UsageError(
      `--cacert - and ${what} both read standard input: give one of them in another way`,
    );
  }
  return await parseTlsBundle(new TextDecoder().decode(await readInput(CONFIG_BYTES_MAX)));
}

/** Tells whether a command reads standard input. */
function readsInput([name, ...words]: readonly string[]): boolean {
  if (name === "put") return words[1] === "-";
  return name === undefined || name === "import" || name === "run";
}

async function runCommand(options: ClientOptions): Promise<number> {
  const [name, ...words] = options.words;
  switch (name) {
    case undefined:
      return await runPrompt({ ...options, output: standardOutput });
    case "run":
      return await replay(words, options);
    case "bench":
      return await measure(words, options);
    case "status":
      return await status(words, options);
    case "top": {
      const asJson = readJsonSwitch("top", words, options);
      await top({ ...options, asJson, output: standardOutput });
      return EXIT.ok;
    }
    case "wait-ready":
      return await untilReady(words, options);
    case "member":
      return await member(words, { ...options, output: standardOutput });
    case "watch":
      return await watch(options, standardOutput, readJsonSwitch("watch", words, options));
    case "export":
    case "import":
      return await backUp(name, words, options);
    default:
      checkOneShot(name, words);
  }
  const { timeoutMs } = options;
  const connector = new Connector(options);
  try {
    return await runOneShot(name, words, {
      call: (words) => callAnywhere(words, { connector, timeoutMs, mayRepeat: false }),
      read: (words) => callAnywhere(words, { connector, timeoutMs, mayRepeat: true }),
      write: (words) => callOnce(words, { connector, timeoutMs }),
      output: standardOutput,
      asJson: options.asJson,
      readInput,
    });
  } finally {
    connector.close();
  }
}

/** Returns whether the result of a command that takes nothing else is JSON. */
function readJsonSwitch(
  name: string,
  words: readonly string[],
  options: Pick<ClientOptions, "asJson">,
): boolean {
  const line = readCommandLine(words, { values: [], switches: ["json"] });
  const [extra] = line.words;
  if (extra !== undefined) throw new UsageError(`${name} takes no argument "${extra}"`);
  return options.asJson || line.has("json");
}

async function backUp(
  name: "export" | "import",
  words: readonly string[],
  options: ClientOptions,
): Promise<number> {
  const asJson = readJsonSwitch(name, words, options);
  if (name === "export" && Deno.stdout.isTerminal()) {
    throw new UsageError("export writes to standard output: dks client export > FILE");
  }
  if (name === "import" && Deno.stdin.isTerminal()) {
    throw new UsageError("import reads from standard input: dks client import < FILE");
  }
  // Loaded on demand: it loads a part of the runtime that other commands do not need.
  const { exportKeys, importKeys } = await import("./backup.ts");
  const connector = new Connector({ ...options, learns: true });
  const { timeoutMs } = options;
  try {
    if (name === "export") {
      return await exportKeys({ connector, timeoutMs, output: standardOutput });
    }
    const bytes = await readInput();
    return await importKeys(bytes, { connector, timeoutMs, output: standardOutput, asJson });
  } finally {
    connector.close();
  }
}

async function status(words: readonly string[], options: ClientOptions): Promise<number> {
  const asJson = readJsonSwitch("status", words, options);
  const { timeoutMs } = options;
  const connector = new Connector(options);
  try {
    const reply = await callAnywhere(["DKS.STATUS"], { connector, timeoutMs, mayRepeat: true });
    const found = statusOf(reply, connector.name);
    await standardOutput.write(asJson ? jsonText(found) : formatStatus(found));
  } finally {
    connector.close();
  }
  return EXIT.ok;
}

async function untilReady(words: readonly string[], options: ClientOptions): Promise<number> {
  const line = readCommandLine(words, { values: ["timeout"], switches: ["json"] });
  const [extra] = line.words;
  if (extra !== undefined) throw new UsageError(`wait-ready takes no argument "${extra}"`);
  const given = line.value("timeout") ?? "30s";
  const timeoutMs = parseDurationMs(given, "--timeout");
  const reasons = await waitReady({ ...options, timeoutMs });
  if (options.asJson || line.has("json")) {
    await standardOutput.write(jsonLine({ isReady: reasons.length === 0, reasons }));
    return reasons.length === 0 ? EXIT.ok : EXIT.failed;
  }
  if (reasons.length === 0) return EXIT.ok;
  await standardOutput.note(`dks: not ready after ${given}: ${reasons.join("; ")}\n`);
  return EXIT.failed;
}

// --- bench ---------------------------------------------------------------------------------------

/** Bounds of the flags of `bench`. */
const CLIENTS_MAX = 10_000;
const KEYS_MAX = 1_000_000_000;
const RATE_MAX = 10_000_000;

async function measure(words: readonly string[], options: ClientOptions): Promise<number> {
  const line = readCommandLine(words, {
    values: ["clients", "pipeline", "size", "keys", "ratio", "rate", "duration", "command"],
    switches: ["json"],
  });
  const [extra] = line.words;
  if (extra !== undefined) throw new UsageError(`bench takes no argument "${extra}"`);
  const number = (name: string, usual: string, { min = 1, max }: { min?: number; max: number }) =>
    parseInteger(line.value(name) ?? usual, { name: `--${name}`, min, max });
  const [command, ratio] = [line.value("command"), line.value("ratio")];
  if (command !== undefined && ratio !== undefined) {
    throw new UsageError("--ratio is for SET and GET, and of no use beside --command");
  }
  const bench: BenchOptions = {
    ...options,
    clients: number("clients", "50", { max: CLIENTS_MAX }),
    pipeline: number("pipeline", "1", { max: PIPELINE_MAX }),
    size: number("size", "100", { min: 0, max: VALUE_BYTES_LIMIT }),
    keys: number("keys", "10000", { max: KEYS_MAX }),
    ratio: parseRatio(ratio ?? "1:1"),
    command: command === undefined ? undefined : parseCommand(command),
    rate: line.value("rate") === undefined ? undefined : number("rate", "", { max: RATE_MAX }),
    durationMs: parseDurationMs(line.value("duration") ?? "10s", "--duration"),
  };
  return await runBench(bench, options.asJson || line.has("json"));
}

/** Returns how many SETs there are for how many GETs. */
function parseRatio(text: string): [sets: number, gets: number] {
  const [, sets = "", gets = ""] = /^(\d{1,6}):(\d{1,6})$/.exec(text) ?? [];
  if (!(Number(sets) + Number(gets) > 0)) {
    throw new UsageError(`--ratio takes SETs and GETs such as 1:10, not "${text}"`);
  }
  return [Number(sets), Number(gets)];
}

/** Returns the words of a command. */
function parseCommand(text: string): ByteString[] {
  try {
    const words = splitInline(toBytes(fromText(text)));
    if (words.length > 0) return words;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  throw new UsageError(`--command takes a command with balanced quotes, not "${text}"`);
}

async function runBench(options: BenchOptions, asJson: boolean): Promise<number> {
  // Loaded on demand: other commands need no histograms.
  const { bench, formatBench } = await import("./bench.ts");
  const live = new LiveLine();
  const ending = new AbortController();
  const end = () => ending.abort();
  Deno.addSignalListener("SIGINT", end);
  try {
    const report = await bench({
      ...options,
      signal: ending.signal,
      ...live.isShown ? { onSecond: (text: string) => live.show(text) } : {},
    });
    live.remove();
    const text = asJson ? jsonText(report) : formatBench(report);
    await standardOutput.write(text);
    return report.failed === 0 ? EXIT.ok : EXIT.failed;
  } finally {
    live.remove();
    Deno.removeSignalListener("SIGINT", end);
  }
}

// --- run -----------------------------------------------------------------------------------------

/** Bounds of the flags of `run`. */
const CONNECTIONS_MAX = 1000;
const PIPELINE_MAX = 1000;
const REPEAT_MAX = 1_000_000;

/** How many bad lines are shown. */
const BAD_LINES_SHOWN = 10;

async function replay(words: readonly string[], options: ClientOptions): Promise<number> {
  const line = readCommandLine(words, {
    values: ["connections", "pipeline", "repeat"],
    switches: ["reconnect", "retry", "json"],
  });
  const count = (name: string, max: number) =>
    parseInteger(line.value(name) ?? "1", { name: `--${name}`, min: 1, max });
  const flags = {
    connections: count("connections", CONNECTIONS_MAX),
    pipeline: count("pipeline", PIPELINE_MAX),
    repeat: count("repeat", REPEAT_MAX),
    reconnect: line.has("reconnect"),
    retry: line.has("retry"),
  };
  const { operations, bad } = parseOperations(await readOperations(line.words));
  if (bad.length > 0) {
    const shown = bad.slice(0, BAD_LINES_SHOWN).map((one) => `line ${one.line}: ${one.reason}`);
    const more = bad.length > shown.length ? [`and ${bad.length - shown.length} more`] : [];
    throw new UsageError(`nothing was run: ${[...shown, ...more].join("; ")}`);
  }
  if (operations.length === 0) throw new UsageError("the operations file is empty");
  const asJson = options.asJson || line.has("json");
  return await replayOperations({ ...flags, ...options, operations }, asJson);
}

async function replayOperations(options: RunOptions, asJson: boolean): Promise<number> {
  const report = await run(options);
  const text = asJson ? jsonText(report) : formatReport(report);
  await standardOutput.write(text);
  return report.failed === 0 ? EXIT.ok : EXIT.failed;
}

/** Returns the text of the operations file: standard input, or the file if that is allowed. */
async function readOperations(words: readonly string[]): Promise<string> {
  const [file, extra] = words;
  if (extra !== undefined) throw new UsageError(`run takes one file, not also "${extra}"`);
  let bytes: Uint8Array;
  if (file === undefined || file === "-") {
    if (Deno.stdin.isTerminal()) {
      throw new UsageError("run reads operations from standard input: dks client run < FILE");
    }
    bytes = await readInput();
  } else bytes = await readFile(file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError("the operations file is not UTF-8 text");
  }
}

async function readFile(file: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied) {
      throw new UsageError(
        `dks may use the network and no files, so it cannot open "${file}": dks client run < ${file}`,
      );
    }
    throw new UsageError(`cannot read "${file}": ${messageOf(error)}`);
  }
}
