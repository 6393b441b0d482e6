import { assertEquals } from "@std/assert";
import * as log from "@std/log";

const AT = new Date("2026-01-02T03:04:05.006Z");

function record(msg: string, args: unknown[]): log.LogRecord {
  return { msg, args, datetime: AT, level: 30, levelName: "WARN", loggerName: "default" };
}

Deno.test("textFormatter() writes one line with the fields after the message", () => {
  const line = log.formatters.textFormatter(record("lost {it}", [{ peer: "n1", ms: 5 }, 7]));
  assertEquals(line, "2026-01-02T03:04:05.006Z WARN  lost {it} peer=n1 ms=5 arg1=7");
});

Deno.test("jsonFormatter() writes one line of JSON", () => {
  const line = log.formatters.jsonFormatter(record("two\nlines", [{ peer: "n1" }]));
  assertEquals(line.includes("\n"), false);
  assertEquals(JSON.parse(line), {
    time: AT.toISOString(),
    level: "WARN",
    message: "two\nlines",
    peer: "n1",
  });
});

Deno.test("getLogger() logs what is at or above the level, to the handlers of its name", () => {
  const seen: string[] = [];
  const handler: log.Handler = {
    levelName: "INFO",
    handle: (one) => seen.push(`${one.levelName} ${one.msg} ${JSON.stringify(one.args)}`),
  };
  log.setup({
    handlers: { memory: handler },
    loggers: { tests: { level: "INFO", handlers: ["memory"] } },
  });
  const logger = log.getLogger("tests");
  logger.debug("not seen");
  logger.info("braces {stay} as they are", { a: 1 });
  logger.warn("w");
  logger.error("e");
  logger.critical("c");
  log.getLogger("other").critical("nobody listens");
  assertEquals(seen, [
    'INFO braces {stay} as they are [{"a":1}]',
    "WARN w []",
    "ERROR e []",
    "CRITICAL c []",
  ]);
  log.setup({});
});

Deno.test("LogLevels are those of @std/log", () => {
  assertEquals(log.LogLevelNames, ["NOTSET", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"]);
  assertEquals(Object.values(log.LogLevels), [0, 10, 20, 30, 40, 50]);
});
