# fish completion for muxc: ssh's own.
complete -c muxc --wraps ssh
complete -c muxc -x -s O -a 'check forward cancel exit stop conninfo channels proxy prepare' -d 'Ask the connection'
complete -c muxc -x -s o -a 'WaitForReady= Pinned= MaxLifetime= Share= Confirm= Audit= NotifyCommand= KeepWarm= Reattach= ControlSockets= StickyForward= FdPass= ErrorFormat= MaxConnections= Bulk= RememberSecrets= TCPNoDelay= TCPKeepAliveIdle= TCPKeepAliveInterval= TCPKeepAliveCount= TCPUserTimeout=' -d 'Keyword of muxd'
