/**
 * What is made from the texts of `--help`: the man page, and the completions of a shell.
 *
 * @module
 */

import { CLIENT_HELP } from "../../src/client/client.ts";
import { SERVE_HELP } from "../../src/node/serve.ts";
import { VERSION } from "../../src/version.ts";

const MADE = "made from --help by scripts/generate.ts";

/** Returns the man page, in the language of man(7). */
export function manPage(): string {
  return [
    `.\\" ${MADE}`,
    `.TH DKS 1 "" "dks ${VERSION}" "dks"`,
    ".SH NAME",
    "dks \\- a distributed key store",
    ".SH SYNOPSIS",
    ".B dks serve",
    "[options]",
    ".br",
    ".B dks client",
    "[options] [command]",
    ".SH SERVE",
    ...verbatim(SERVE_HELP),
    ".SH CLIENT",
    ...verbatim(CLIENT_HELP),
    "",
  ].join("\n");
}

function verbatim(help: string): string[] {
  const lines = help.trimEnd().split("\n").map((line) =>
    line.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^([.'])/, "\\&$1")
  );
  return [".nf", ...lines, ".fi"];
}

/** Returns the long options that a text of help describes, in its order. */
export function optionsIn(help: string): string[] {
  return [...help.matchAll(/^ +(?:-\w, )?(--[a-z][a-z-]*)/gm)].map(([, option = ""]) => option);
}

/** Returns the commands that the client's help describes, in its order. */
export function commandsIn(help: string): string[] {
  const [, commands = ""] = help.split("\ncommands:\n");
  return [...commands.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, name = ""]) => name);
}

/** Returns the options of each command of the client: those that are described below it or beside it. */
function optionsOfCommands(): [command: string, options: string][] {
  const [, text = ""] = CLIENT_HELP.split("\ncommands:\n");
  const parts = text.split(/\n(?= {2}[a-z])/);
  return parts.flatMap((part): [string, string][] => {
    const name = /^ *([a-z][a-z-]*)/.exec(part)?.[1] ?? "";
    const options = [...part.matchAll(/[ [](--[a-z][a-z-]*)/g)].map(([, option = ""]) => option);
    return options.length === 0 ? [] : [[name, [...new Set(options)].join(" ")]];
  });
}

/** The options of the client before its command. */
const [OPTIONS_HELP = ""] = CLIENT_HELP.split("\ncommands:\n");
const CLIENT_OPTIONS = optionsIn(OPTIONS_HELP);

/** Tells whether a text of help describes this option with a value. */
function takesValue(option: string, help: string): boolean {
  return new RegExp(`${option} (?:[A-Z]|- )`).test(help);
}

/** Those options after which a value comes, as a pattern of a shell. */
const VALUE_OPTIONS = ["-s", "-p", ...CLIENT_OPTIONS.filter((one) => takesValue(one, OPTIONS_HELP))]
  .join(" | ");

/** What stands after the name of the program. */
const FIRST_WORDS = "serve client --help --version";

/** Returns completions for bash. */
export function bashCompletions(): string {
  const cases = optionsOfCommands().map(([name, options]) => `    ${name}) words="${options}" ;;`);
  return `# dks: completions for bash, ${MADE}

_dks() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}" words="" at command=""
  COMPREPLY=()
  case "\${COMP_WORDS[1]}" in
  serve)
    [ "$COMP_CWORD" -gt 1 ] && words="${optionsIn(SERVE_HELP).join(" ")}"
    ;;
  client)
    # The first word that is no option and no value of one is the command.
    for ((at = 2; at < COMP_CWORD; at++)); do
      case "\${COMP_WORDS[at]}" in
      ${VALUE_OPTIONS}) at=$((at + 1)) ;;
      -*) ;;
      *) command="\${COMP_WORDS[at]}" && break ;;
      esac
    done
    case "$command" in
    "") words="${CLIENT_OPTIONS.join(" ")} ${commandsIn(CLIENT_HELP).join(" ")}" ;;
${cases.join("\n")}
    esac
    case "$before" in
    ${VALUE_OPTIONS}) words="" ;;
    esac
    ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${FIRST_WORDS}"
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _dks dks
`;
}

/** Returns completions for zsh. */
export function zshCompletions(): string {
  const cases = optionsOfCommands().map(([name, options]) =>
    `    ${name}) offered=(${options}) ;;`
  );
  return `#compdef dks
# dks: completions for zsh, ${MADE}

_dks() {
  local -a offered
  local command="" at
  case "\${words[2]}" in
  serve)
    offered=(${optionsIn(SERVE_HELP).join(" ")})
    ;;
  client)
    # The first word that is no option and no value of one is the command.
    for ((at = 3; at < CURRENT; at++)); do
      case "\${words[at]}" in
      ${VALUE_OPTIONS}) ((at++)) ;;
      -*) ;;
      *) command="\${words[at]}" && break ;;
      esac
    done
    case "$command" in
    "") offered=(${CLIENT_OPTIONS.join(" ")} ${commandsIn(CLIENT_HELP).join(" ")}) ;;
${cases.join("\n")}
    esac
    case "\${words[CURRENT - 1]}" in
    ${VALUE_OPTIONS}) offered=() ;;
    esac
    ;;
  esac
  ((CURRENT == 2)) && offered=(${FIRST_WORDS})
  compadd -- $offered
}
_dks "$@"
`;
}

/** Returns completions for fish. */
export function fishCompletions(): string {
  const commands = commandsIn(CLIENT_HELP).join(" ");
  const options = (condition: string, help: string, names: readonly string[]) =>
    names.map((name) => {
      const value = takesValue(name, help) ? " -x" : "";
      return `complete -c dks -n "${condition}" -l ${name.slice(2)}${value}`;
    });
  const isClient = "__fish_seen_subcommand_from client";
  const isFirst = `${isClient}; and not __fish_seen_subcommand_from ${commands}`;
  return [
    `# dks: completions for fish, ${MADE}`,
    "complete -c dks -f",
    'complete -c dks -n __fish_use_subcommand -a "serve client"',
    ...options("__fish_use_subcommand", "", ["--help", "--version"]),
    ...options("__fish_seen_subcommand_from serve", SERVE_HELP, optionsIn(SERVE_HELP)),
    `complete -c dks -n "${isFirst}" -a "${commands}"`,
    ...options(isFirst, OPTIONS_HELP, CLIENT_OPTIONS),
    ...optionsOfCommands().flatMap(([name, words]) =>
      options(`${isClient}; and __fish_seen_subcommand_from ${name}`, CLIENT_HELP, words.split(" "))
    ),
    "",
  ].join("\n");
}
