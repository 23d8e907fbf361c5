# fish completion for muxd.
complete -c muxd -f
complete -c muxd -n __fish_use_subcommand -a status -d 'Connections, sessions and forwards'
complete -c muxd -n __fish_use_subcommand -a login -d 'Log in ahead'
complete -c muxd -n __fish_use_subcommand -a top -d 'The same, live'
complete -c muxd -n __fish_use_subcommand -a wait -d 'Until there is a connection, or none'
complete -c muxd -n __fish_use_subcommand -a reconnect -d 'Try now'
complete -c muxd -n __fish_use_subcommand -a recycle -d 'Have a new connection, and no session cut'
complete -c muxd -n __fish_use_subcommand -a events -d 'Print what changes'
complete -c muxd -n __fish_use_subcommand -a metrics -d 'Numbers for monitoring'
complete -c muxd -n __fish_use_subcommand -a doctor -d 'What could be better, and how'
complete -c muxd -n __fish_use_subcommand -a install -d 'Have ssh or the service manager use muxd'
complete -c muxd -n __fish_use_subcommand -a uninstall -d 'Undo that'
complete -c muxd -n __fish_use_subcommand -a lock -d 'Let nothing new begin'
complete -c muxd -n __fish_use_subcommand -a unlock -d 'Undo that'
complete -c muxd -n __fish_use_subcommand -a stop -d 'End muxd'
complete -c muxd -n '__fish_seen_subcommand_from login wait reconnect recycle doctor events' -a '(__fish_print_hostnames)'
complete -c muxd -n '__fish_seen_subcommand_from status events doctor' -l json
complete -c muxd -n '__fish_seen_subcommand_from status' -l probe-forwards
complete -c muxd -n '__fish_seen_subcommand_from login reconnect recycle doctor' -l all
complete -c muxd -n '__fish_seen_subcommand_from reconnect' -l forget
complete -c muxd -n '__fish_seen_subcommand_from wait' -x -l for -a 'ready down'
complete -c muxd -n '__fish_seen_subcommand_from wait' -x -l timeout
complete -c muxd -n '__fish_seen_subcommand_from install uninstall' -l ssh-config
complete -c muxd -n '__fish_seen_subcommand_from install uninstall' -l service
complete -c muxd -n '__fish_seen_subcommand_from install uninstall' -l write
complete -c muxd -n '__fish_seen_subcommand_from events' -x -l since -a '10m 1h'
complete -c muxd -n '__fish_seen_subcommand_from events' -l no-follow
complete -c muxd -n '__fish_seen_subcommand_from stop' -l force
complete -c muxd -n '__fish_seen_subcommand_from stop' -l drain
complete -c muxd -n '__fish_seen_subcommand_from stop' -x -l timeout
complete -c muxd -n '__fish_seen_subcommand_from metrics' -l file -r
