#!/usr/bin/env bash
# redis-benchmark: all tests of strings, at every node, one by one and in pipelines.
set -euo pipefail
for port in "$@"; do
  for pipeline in 1 16; do
    out=$(redis-benchmark -p "$port" -t ping,set,get,incr,mset -n 2000 -c 20 -r 1000 -P "$pipeline" --csv 2>&1)
    for test in PING_INLINE PING_MBULK SET GET INCR 'MSET \(10 keys\)'; do
      grep -qE "^\"$test\",\"[0-9.]+\"" <<<"$out" || { printf 'no %s in:\n%s\n' "$test" "$out" >&2; exit 1; }
    done
    if grep -iE 'error|warning' <<<"$out" >&2; then exit 1; fi
  done
done
