#!/bin/sh
# dks, portable: this header, then a compressed archive of the Deno runtime and of the program.
# The archive is unpacked once into the cache of the user (checked by hash, and whole or not at all,
# so that several may start at once) and run with the network as its only permission. Nothing is run
# that somebody else could have written.
set -eu
hash=@HASH@
skip=@SKIP@

mask=$(umask)
umask 077

# Tells whether a file or a folder belongs to this user, and nobody else can write it.
is_own() {
  [ ! -L "$1" ] &&
    [ -n "$(find "$1" -prune -user "$(id -u)" ! -perm -020 ! -perm -002 2>/dev/null)" ]
}

# What is run is the archive's, as far as ownership, mode and length tell.
is_whole() {
  is_own "$1" && is_own "$1/deno" && is_own "$1/dks.js" && [ -x "$1/deno" ] &&
    [ "$(wc -c < "$1/deno")" -eq "@DENO_BYTES@" ] && [ "$(wc -c < "$1/dks.js")" -eq "@DKS_BYTES@" ]
}

# Where the archive is unpacked: the first of these folders that has it, or can be written. In a
# folder for all users, somebody else may have made the one of this name: then it is a new one.
home=
for root in "${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}/dks" "${TMPDIR:-/tmp}/dks-$(id -u)" new; do
  case "$root" in
    /dks) continue ;;
    new) root=$(mktemp -d "${TMPDIR:-/tmp}/dks-XXXXXX" 2>/dev/null) || continue ;;
    *) mkdir -p "$root" 2>/dev/null || continue ;;
  esac
  is_own "$root" || continue
  if is_whole "$root/$hash" || [ -w "$root" ]; then
    home="$root/$hash"
    break
  fi
done
if [ -z "$home" ]; then
  echo "dks: cannot write to a cache folder: set HOME or XDG_CACHE_HOME to a folder of yours" >&2
  exit 1
fi

if ! is_whole "$home"; then
  for tool in gzip tar; do
    command -v "$tool" >/dev/null 2>&1 || {
      echo "dks: $0 cannot be unpacked: there is no $tool" >&2
      exit 1
    }
  done
  no_room() {
    echo "dks: cannot unpack into $root: is there room for 200 MB?" >&2
    exit 1
  }
  part=$(mktemp -d "$root/unpacking.XXXXXX") || no_room
  trap 'rm -rf "$part"' EXIT INT TERM
  tail -c "+$skip" "$0" > "$part/archive.gz" 2>/dev/null || no_room
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
  # Not with the owner that the archive names, where this is root.
  gzip -dc "$part/archive.gz" | tar -xof - -C "$part/whole" 2>/dev/null || no_room
  # A file is renamed at once or not at all. Another start may do the same at this moment: the files
  # are the same. The runtime comes last: whoever finds it finds everything.
  if [ -e "$home" ] && ! is_own "$home"; then rm -rf "$home"; fi
  mkdir -p "$home"
  mv -f "$part/whole/dks.js" "$home/dks.js"
  mv -f "$part/whole/deno" "$home/deno"
  rm -rf "$part"
  trap - EXIT INT TERM
  if ! "$home/deno" --version >/dev/null 2>&1; then
    echo "dks: cannot run what was unpacked into $root: if programs may not be run there (noexec)," \
      "set XDG_CACHE_HOME to another folder" >&2
    exit 1
  fi
fi
umask "$mask"

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
