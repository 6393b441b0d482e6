#!/bin/sh
# dks, portable: this header, then a compressed archive of the Deno runtime and of the program.
# The archive is unpacked once into the cache of the user (checked by hash, and whole or not at all,
# so that several may start at once) and run with the network as its only permission.
set -eu
hash=@HASH@
skip=@SKIP@

# Where the archive is unpacked: the first of these folders that can be written.
for root in "${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}" "${TMPDIR:-/tmp}/cache-$(id -u)"; do
  [ -n "$root" ] || continue
  if mkdir -p "$root/dks" 2>/dev/null && [ -w "$root/dks" ]; then break; fi
  root=
done
if [ -z "$root" ]; then
  echo "dks: cannot write to a cache folder: set HOME or XDG_CACHE_HOME to a folder of yours" >&2
  exit 1
fi
home="$root/dks/$hash"

if [ ! -x "$home/deno" ]; then
  part=$(mktemp -d "$root/dks/unpacking.XXXXXX")
  trap 'rm -rf "$part"' EXIT INT TERM
  tail -c "+$skip" "$0" > "$part/archive.gz"
  if command -v sha256sum >/dev/null 2>&1; then
    found=$(sha256sum "$part/archive.gz")
  else
    found=$(shasum -a 256 "$part/archive.gz")
  fi
  if [ "${found%% *}" != "$hash" ]; then
    echo "dks: $0 is damaged: its archive has the hash ${found%% *}, not $hash" >&2
    exit 1
  fi
  mkdir "$part/whole"
  gzip -dc "$part/archive.gz" | tar -xf - -C "$part/whole"
  # A file is renamed at once or not at all. Another start may do the same at this moment: the files
  # are the same. The runtime comes last: whoever finds it finds everything.
  mkdir -p "$home"
  mv -f "$part/whole/dks.js" "$home/dks.js"
  mv -f "$part/whole/deno" "$home/deno"
  rm -rf "$part"
  trap - EXIT INT TERM
fi

# What a node stores belongs to the user's data, not into a cache; for each port there is a place of
# its own: $DENO_DIR/location_data/ has one for each location, and the port is in that. The program
# learns from the rest of the location where its data is. Without a node that stores something
# there, the data of the user is not touched.
port=5000
stores=no
[ "${1-}" = serve ] && stores=yes
previous=
for word in "$@"; do
  case "$previous" in -p | --port) port=$word ;; esac
  case "$word" in
    --port=*) port=${word#--port=} ;;
    -p[0-9]*) port=${word#-p} ;;
    --ephemeral | --data | --data=* | -h | --help) stores=no ;;
  esac
  previous=$word
done
case "$port" in *[!0-9]* | '' | 0* | ??????*) port=5000 ;; esac # The program tells what is wrong.

data=$home
if [ "$stores" = yes ]; then
  # As the specification of these folders has it: one that is not absolute does not count.
  case "${XDG_DATA_HOME:-}" in
    /*) data=$XDG_DATA_HOME/dks ;;
    *) case "${HOME:-}" in
      /*) data=$HOME/.local/share/dks ;;
      *)
        echo "dks: no folder for the data: set HOME or XDG_DATA_HOME to a folder of yours," \
          "or say --ephemeral" >&2
        exit 1
        ;;
    esac ;;
  esac
  if ! mkdir -p "$data" 2>/dev/null; then
    echo "dks: cannot make the folder $data for the data: set HOME or XDG_DATA_HOME to a folder" \
      "of yours, or say --ephemeral" >&2
    exit 1
  fi
fi
shown=$(printf '%s.' "$data" | sed -e 's/%/%25/g' -e 's/#/%23/g' -e 's/?/%3F/g' \
  -e 's/\\/%5C/g' -e 's/ /%20/g')

DENO_DIR="$data" DENO_NO_UPDATE_CHECK=1 \
  exec "$home/deno" run @FLAGS@ --location "http://localhost:$port${shown%.}" "$home/dks.js" "$@"
