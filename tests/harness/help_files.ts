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

/** Returns completions for bash; zsh takes them after `bashcompinit`. */
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
      -s | -p | --server | --port | --user | --pass | --timeout) at=$((at + 1)) ;;
      -*) ;;
      *) command="\${COMP_WORDS[at]}" && break ;;
      esac
    done
    case "$command" in
    "") words="${optionsIn(CLIENT_HELP.split("\ncommands:\n")[0] ?? "").join(" ")} ${
    commandsIn(CLIENT_HELP).join(" ")
  }" ;;
${cases.join("\n")}
    esac
    case "$before" in
    -s | -p | --server | --port | --user | --pass | --timeout) words="" ;;
    esac
    ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="serve client --help --version"
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _dks dks
`;
}
