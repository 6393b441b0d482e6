/**
 * Logging as text or JSON, with the interface of `@std/log` on top of LogTape.
 *
 * `@std/log` left the standard library in September 2025. What dks used of it is here, under the
 * same names, so that code imports `@std/log` and the import map selects the implementation:
 * `getLogger`, `setup`, the levels, handlers, and formatters for text and JSON lines.
 *
 * ```ts
 * import * as log from "@std/log";
 *
 * log.setup({
 *   handlers: {
 *     console: new log.ConsoleHandler("INFO", { formatter: log.formatters.jsonFormatter }),
 *   },
 *   loggers: { default: { level: "INFO", handlers: ["console"] } },
 * });
 * log.getLogger().info("listening", { port: 5000 });
 * ```
 *
 * @module
 */

import {
  configureSync,
  getLogger as getLogTapeLogger,
  type Logger as LogTapeLogger,
  type LogLevel as LogTapeLevel,
  type LogRecord as LogTapeRecord,
} from "@logtape/logtape";
import { LogOutput } from "./log_output.ts";

/** The levels and their weights. */
export const LogLevels = {
  NOTSET: 0,
  DEBUG: 10,
  INFO: 20,
  WARN: 30,
  ERROR: 40,
  CRITICAL: 50,
} as const;

/** The name of a level. */
export type LevelName = keyof typeof LogLevels;

/** The names of the levels, from the most verbose to the least. */
export const LogLevelNames: readonly LevelName[] = Object.keys(LogLevels) as LevelName[];

const TO_LOGTAPE: Readonly<Record<LevelName, LogTapeLevel>> = {
  NOTSET: "trace",
  DEBUG: "debug",
  INFO: "info",
  WARN: "warning",
  ERROR: "error",
  CRITICAL: "fatal",
};

const FROM_LOGTAPE: Readonly<Record<LogTapeLevel, LevelName>> = {
  trace: "NOTSET",
  debug: "DEBUG",
  info: "INFO",
  warning: "WARN",
  error: "ERROR",
  fatal: "CRITICAL",
};

/** One thing that was logged. */
export interface LogRecord {
  readonly msg: string;
  readonly args: readonly unknown[];
  readonly datetime: Date;
  readonly level: number;
  readonly levelName: LevelName;
  readonly loggerName: string;
}

/** Turns a record into a line. */
export type FormatterFunction = (record: LogRecord) => string;

/** Where records go. */
export interface Handler {
  readonly levelName: LevelName;
  handle(record: LogRecord): void;
}

/** The lines for standard output: a process has one, whichever part logs. */
const standardOutput = new LogOutput(Deno.stdout);

/** Writes lines to standard output, without ever waiting for the reader. */
export class ConsoleHandler implements Handler {
  readonly levelName: LevelName;
  readonly #formatter: FormatterFunction;

  /**
   * @param levelName records below are dropped
   * @param options `formatter`: turns a record into a line, by default human-readable
   */
  constructor(levelName: LevelName, options: { formatter?: FormatterFunction } = {}) {
    this.levelName = levelName;
    this.#formatter = options.formatter ?? textFormatter;
  }

  handle(record: LogRecord): void {
    if (record.level < LogLevels[this.levelName]) return;
    standardOutput.write(
      this.#formatter(record),
      (count) => this.#formatter(describeDropped(count)),
    );
  }
}

/** Waits until what was logged is written, for at most `ms` milliseconds. */
export async function flush(ms: number): Promise<void> {
  await standardOutput.flush(ms);
}

/** Returns how many lines were dropped, as nobody read those before them. */
export function droppedLines(): number {
  return standardOutput.dropped;
}

function describeDropped(count: number): LogRecord {
  return {
    msg: `${count} ${
      count === 1 ? "line" : "lines"
    } of this log were dropped here, as nobody read it`,
    args: [],
    datetime: new Date(),
    level: LogLevels.WARN,
    levelName: "WARN",
    loggerName: "default",
  };
}

/**
 * Returns `record` as a human-readable line: time, level, message, and arguments as `name=value`.
 */
export function textFormatter(record: LogRecord): string {
  let line = `${record.datetime.toISOString()} ${record.levelName.padEnd(5)} ${record.msg}`;
  for (const [name, value] of fieldsOf(record)) {
    line += ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`;
  }
  return line;
}

/** Returns `record` as one line of JSON. */
export function jsonFormatter(record: LogRecord): string {
  return JSON.stringify({
    time: record.datetime.toISOString(),
    level: record.levelName,
    message: record.msg,
    ...Object.fromEntries(fieldsOf(record)),
  });
}

/** The formatters, as `@std/log` has them. */
export const formatters: {
  readonly textFormatter: FormatterFunction;
  readonly jsonFormatter: FormatterFunction;
} = { textFormatter, jsonFormatter };

function fieldsOf(record: LogRecord): [string, unknown][] {
  return record.args.flatMap((argument, index): [string, unknown][] => {
    if (typeof argument !== "object" || argument === null) return [[`arg${index}`, argument]];
    if (argument instanceof Error) return [["error", argument.message]];
    return Object.entries(argument);
  });
}

/** Where a program logs. */
export class Logger {
  readonly #logger: LogTapeLogger;
  readonly loggerName: string;

  constructor(loggerName: string) {
    this.loggerName = loggerName;
    this.#logger = getLogTapeLogger([CATEGORY, loggerName]);
  }

  debug(message: string, ...args: readonly unknown[]): void {
    this.#log("DEBUG", message, args);
  }

  info(message: string, ...args: readonly unknown[]): void {
    this.#log("INFO", message, args);
  }

  warn(message: string, ...args: readonly unknown[]): void {
    this.#log("WARN", message, args);
  }

  error(message: string, ...args: readonly unknown[]): void {
    this.#log("ERROR", message, args);
  }

  critical(message: string, ...args: readonly unknown[]): void {
    this.#log("CRITICAL", message, args);
  }

  #log(level: LevelName, message: string, args: readonly unknown[]): void {
    // The message is a property, not LogTape's template: braces in it are just braces.
    const method = TO_LOGTAPE[level] === "warning" ? "warn" : TO_LOGTAPE[level];
    this.#logger[method]("{message}", { message, args });
  }
}

/** How handlers and loggers are set up. */
export interface LogConfig {
  readonly handlers?: Readonly<Record<string, Handler>>;
  readonly loggers?: Readonly<
    Record<string, { readonly level?: LevelName; readonly handlers?: readonly string[] }>
  >;
}

const CATEGORY = "dks";

/** Sets up the handlers of the named loggers. May be called again: the last call counts. */
export function setup(config: LogConfig): void {
  const handlers = config.handlers ?? {};
  configureSync({
    reset: true,
    sinks: Object.fromEntries(
      Object.entries(handlers).map((
        [name, handler],
      ) => [name, (record: LogTapeRecord) => handler.handle(fromLogTape(record))]),
    ),
    loggers: [
      ...Object.entries(config.loggers ?? {}).map(([name, logger]) => ({
        category: [CATEGORY, name],
        sinks: [...(logger.handlers ?? [])],
        lowestLevel: TO_LOGTAPE[logger.level ?? "NOTSET"],
      })),
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" as const },
    ],
  });
}

function fromLogTape(record: LogTapeRecord): LogRecord {
  const levelName = FROM_LOGTAPE[record.level];
  const { message, args } = record.properties;
  return {
    msg: String(message),
    args: Array.isArray(args) ? args : [],
    datetime: new Date(record.timestamp),
    level: LogLevels[levelName],
    levelName,
    loggerName: record.category.at(-1) ?? "default",
  };
}

/** Returns the logger of this name. */
export function getLogger(name = "default"): Logger {
  return new Logger(name);
}
