#!/usr/bin/env bash
# prometheus-redis-exporter: it finds the node up, and shows what dashboards ask for.
set -euo pipefail
redis-cli -p "$1" set exporter 1 >/dev/null
address=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
prometheus-redis-exporter --redis.addr "redis://127.0.0.1:$2" --web.listen-address "$address" \
  --check-single-keys=db0=exporter 2>"$PROGRAM_FOLDER/exporter.txt" &
exporter=$!
trap 'kill $exporter' EXIT
metrics=
for ((i = 0; i < 200; i++)); do
  metrics=$(curl -s "http://$address/metrics") && grep -q '^redis_up 1' <<<"$metrics" && break
  sleep 0.1
done
for pattern in '^redis_up 1$' '^redis_exporter_last_scrape_error\{err=""\} 0$' \
  '^redis_instance_info\{.*role="master"' '^redis_connected_clients [1-9]' '^redis_memory_used_bytes [1-9]' \
  '^redis_db_keys\{db="db0"\} [1-9]' '^redis_commands_total\{cmd="(info|set)"\}' '^redis_uptime_in_seconds' \
  '^redis_key_size\{db="db0",key="exporter"\} 1' '^redis_slowlog_length [0-9]'; do
  grep -qE "$pattern" <<<"$metrics" || { printf 'no %s in:\n%s\n' "$pattern" "$(grep ^redis_ <<<"$metrics")" >&2; exit 1; }
done
if grep -iE 'level=(error|warning)' "$PROGRAM_FOLDER/exporter.txt" >&2; then exit 1; fi
