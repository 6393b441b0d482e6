# dks: completions for fish, made from --help by scripts/generate.ts
complete -c dks -f
complete -c dks -n __fish_use_subcommand -a "serve client"
complete -c dks -n "__fish_use_subcommand" -l help
complete -c dks -n "__fish_use_subcommand" -l version
complete -c dks -n "__fish_seen_subcommand_from serve" -l config -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l port -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l host -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l peers -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l nodes -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l join -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l advertise -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l data -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l http -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l http-host -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l http-name -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l ephemeral
complete -c dks -n "__fish_seen_subcommand_from serve" -l force-new-cluster
complete -c dks -n "__fish_seen_subcommand_from serve" -l timeout -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l idle-timeout -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l lease -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l suspicion -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l heartbeat -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l slow-force -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l slow-member -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l max-key-bytes -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l max-value-bytes -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l max-memory -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l notify-keyspace-events -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l enable-debug-command
complete -c dks -n "__fish_seen_subcommand_from serve" -l log-level -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l log-format -x
complete -c dks -n "__fish_seen_subcommand_from serve" -l tls-auth-clients
complete -c dks -n "__fish_seen_subcommand_from serve" -l tls-plain-clients
complete -c dks -n "__fish_seen_subcommand_from serve" -l plain-peers
complete -c dks -n "__fish_seen_subcommand_from serve" -l help
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -a "put get delete exists outcome raw export import status top member wait-ready watch run bench"
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l server -x
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l port -x
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l user -x
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l pass -x
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l tls
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l cacert -x
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l timeout -x
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l json
complete -c dks -n "__fish_seen_subcommand_from client; and not __fish_seen_subcommand_from put get delete exists outcome raw export import status top member wait-ready watch run bench" -l help
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from status" -l json
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from member" -l no-wait
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from wait-ready" -l timeout -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from run" -l connections -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from run" -l pipeline -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from run" -l repeat -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from run" -l reconnect
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from run" -l retry
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from bench" -l clients -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from bench" -l pipeline -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from bench" -l size -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from bench" -l keys -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from bench" -l ratio -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from bench" -l command -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from bench" -l rate -x
complete -c dks -n "__fish_seen_subcommand_from client; and __fish_seen_subcommand_from bench" -l duration -x
