#!/bin/sh
# Writes the pictures of muxd that README.md shows: the demo's server, a real
# muxd top on a real terminal (tmux), captured as text. Needs go, tmux and awk;
# nothing of its user's is touched.
set -eu
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
mkfifo "$tmp/stdin"
go run ./demo -hold <"$tmp/stdin" >"$tmp/said" &
exec 9>"$tmp/stdin"
trap 'tmux -L muxd-screens kill-server 2>/dev/null || :; exec 9>&-; wait; rm -r "$tmp"' EXIT INT TERM
until stage=$(sed -n 's/^stage=//p' "$tmp/said") && [ -n "$stage" ]; do sleep 0.2; done
export MUXD_SOCKET="$stage/ctl" XDG_STATE_HOME="$stage/state"
muxc() { "$stage/muxc" -F "$stage/config" "$@"; }
muxc -f -N -L 8080:db:5432 -D 1080 demo </dev/null >/dev/null
(while :; do head -c 30000; sleep 5; done </dev/zero | muxc demo cat >/dev/null 2>&1) 9>&- &
feed=$!
sleep 60 | muxc -t demo >/dev/null 2>&1 9>&- &
(while muxc -O check demo; do sleep 1; done) >/dev/null 2>&1 9>&- & # a probe each second, for its round trip
tmux -L muxd-screens -f /dev/null new-session -d -x 80 -y 12 "TERM=xterm '$stage/muxd' top"
sleep 28
tmux -L muxd-screens capture-pane -p | sed "s/, pid [0-9]*//; s/127\.0\.0\.1:[0-9]*/192.0.2.7:22/" >"$tmp/top"
tmux -L muxd-screens send-keys q
kill "$feed" $! 2>/dev/null || :
awk -v f="$tmp/top" '
	/^<!-- screen: top -->/ { print; print "```"; while ((getline l < f) > 0) print l; print "```"; skip = 1 }
	/^<!-- end -->/ { skip = 0 }
	!skip && !/^<!-- screen: top -->/' README.md >"$tmp/README.md"
cat "$tmp/README.md" >README.md
"$stage/muxd" stop --force
