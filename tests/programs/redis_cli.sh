#!/usr/bin/env bash
# redis-cli: its scans of all keys, and what it loads by --pipe.
set -euo pipefail
one() { redis-cli -p "$1" "${@:2}"; }
first=$1 second=$2 third=$3

expect() { # what, pattern, text
  grep -qE -- "$2" <<<"$3" || { printf '%s: no %s in:\n%s\n' "$1" "$2" "$3" >&2; exit 1; }
}

# As redis-cli wants it: the protocol itself, or lines.
for ((i = 0; i < 2000; i++)); do printf 'SET cli:%d value-%d\r\n' "$i" "$i"; done |
  one "$first" --pipe >"$PROGRAM_FOLDER/pipe.txt"
expect --pipe 'errors: 0, replies: 2000' "$(cat "$PROGRAM_FOLDER/pipe.txt")"
one "$second" set cli:big "$(head -c 5000 /dev/zero | tr '\0' x)" >/dev/null

[ "$(one "$third" --scan --pattern 'cli:*' | sort -u | wc -l)" = 2001 ]
[ "$(one "$third" --scan --pattern 'cli:19[0-9][0-9]' | wc -l)" = 100 ]
expect --bigkeys 'Biggest string found .*cli:big.* has 5000 bytes' "$(one "$second" --bigkeys)"
expect --memkeys 'Biggest string found .*cli:big' "$(one "$first" --memkeys)"
expect --memkeys-samples 'Biggest string found .*cli:big' "$(one "$first" --memkeys-samples 5)"
expect -3 '^1\) "cli:1"$|^"value-1"$' "$(one "$third" -3 --no-raw get cli:1)"
expect -x '^OK$' "$(printf 'from stdin' | one "$first" -x set cli:stdin)"
expect -r '^3$' "$(one "$second" -r 3 incr cli:counter | tail -1)"
expect MULTI '^QUEUED' "$(printf 'MULTI\nINCR cli:counter\nEXEC\n' | one "$third")"
expect COMMAND '^set$' "$(one "$third" command docs set)"
one "$first" unlink $(one "$second" --scan --pattern 'cli:*') >/dev/null
[ -z "$(one "$third" --scan --pattern 'cli:*')" ]
