# fish completion for muxc: ssh's own.
complete -c muxc --wraps ssh
complete -c muxc -x -s O -a 'check forward cancel exit stop conninfo channels proxy prepare' -d 'Ask the connection'
