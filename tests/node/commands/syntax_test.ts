/** The syntax of commands as data. */

import { assertEquals, assertThrows } from "@std/assert";
import { type Argument, argumentsOf } from "../../../src/node/commands/syntax.ts";
import { COMMANDS } from "../../../src/node/commands/table.ts";
import { InvariantError } from "../../../src/invariant.ts";

/** Returns the syntax as a prompt shows it. */
function shown(all: readonly Argument[]): string {
  return all.map(shownOne).join(" ");
}

function shownOne(argument: Argument): string {
  const { name, type, token, isOptional, isMultiple, isMultipleToken, arguments: inner = [] } =
    argument;
  const choice = inner.map(shownOne).join(" | ");
  const plain = type === "pure-token"
    ? ""
    : type === "block"
    ? shown(inner)
    : type === "oneof"
    ? isOptional === true && token === undefined ? choice : `<${choice}>`
    : name;
  const isSaidAgain = isMultiple === true && type !== "oneof";
  const again = isSaidAgain && isMultipleToken !== true ? `${plain} [${plain} ...]` : plain;
  const whole = [token, again].filter((word) => word !== undefined && word !== "").join(" ");
  const twice = isSaidAgain && isMultipleToken === true ? `${whole} [${whole} ...]` : whole;
  const dots = isMultiple === true && type === "oneof";
  if (isOptional === true) return `[${twice}${dots ? " ..." : ""}]`;
  return dots ? twice.replace(/>$/, " ...>") : twice;
}

Deno.test("argumentsOf() loses nothing of the syntax of any command", () => {
  for (const command of COMMANDS.all.flatMap((one) => [one, ...one.subcommands ?? []])) {
    assertEquals([command.name, shown(argumentsOf(command.syntax))], [
      command.name,
      command.syntax,
    ]);
  }
});

Deno.test("argumentsOf() binds a token to all that stands behind it", () => {
  assertEquals(argumentsOf("[AUTH user password] [NX]"), [
    {
      name: "user_password",
      type: "block",
      arguments: [{ name: "user", type: "string" }, { name: "password", type: "string" }],
      token: "AUTH",
      isOptional: true,
    },
    { name: "nx", type: "pure-token", token: "NX", isOptional: true },
  ]);
});

Deno.test("argumentsOf() knows keys, numbers and times by their names", () => {
  const types = argumentsOf("key seconds value unix-time-seconds pattern").map(({ type }) => type);
  assertEquals(types, ["key", "integer", "string", "unix-time", "pattern"]);
});

Deno.test("argumentsOf() tells what is repeated with its token from what is without", () => {
  const of = (syntax: string) =>
    argumentsOf(syntax).map(({ isMultiple, isMultipleToken }) => [isMultiple, isMultipleToken]);
  assertEquals(of("key [key ...]"), [[true, undefined]]);
  assertEquals(of("[ID id [id ...]]"), [[true, undefined]]);
  assertEquals(of("[PREFIX prefix [PREFIX prefix ...]]"), [[true, true]]);
});

Deno.test("argumentsOf() takes no syntax that is none", () => {
  for (const syntax of ["[key", "key]", "[]", "<A | >"]) {
    assertThrows(() => argumentsOf(syntax), InvariantError);
  }
});
