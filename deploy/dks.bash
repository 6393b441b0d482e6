# dks: completions for bash, made from --help by scripts/generate.ts

_dks() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}" words="" at command=""
  COMPREPLY=()
  case "${COMP_WORDS[1]}" in
  serve)
    [ "$COMP_CWORD" -gt 1 ] && words="--config --port --host --peers --nodes --join --advertise --data --http --http-host --http-name --ephemeral --force-new-cluster --timeout --idle-timeout --lease --suspicion --heartbeat --slow-force --slow-member --max-key-bytes --max-value-bytes --max-memory --notify-keyspace-events --enable-debug-command --log-level --log-format --tls-auth-clients --tls-plain-clients --plain-peers --help"
    ;;
  client)
    # The first word that is no option and no value of one is the command.
    for ((at = 2; at < COMP_CWORD; at++)); do
      case "${COMP_WORDS[at]}" in
      -s | -p | --server | --port | --user | --pass | --cacert | --timeout) at=$((at + 1)) ;;
      -*) ;;
      *) command="${COMP_WORDS[at]}" && break ;;
      esac
    done
    case "$command" in
    "") words="--server --port --user --pass --tls --cacert --timeout --json --help put get delete exists outcome raw export import status top member wait-ready watch run bench" ;;
    status) words="--json" ;;
    member) words="--no-wait" ;;
    wait-ready) words="--timeout" ;;
    run) words="--connections --pipeline --repeat --reconnect --retry" ;;
    bench) words="--clients --pipeline --size --keys --ratio --command --rate --duration" ;;
    esac
    case "$before" in
    -s | -p | --server | --port | --user | --pass | --cacert | --timeout) words="" ;;
    esac
    ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="serve client --help --version"
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _dks dks
