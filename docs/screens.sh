#!/bin/sh
# Draws the pictures of muxd that README.md shows, docs/status.svg and
# docs/top.svg: the demo's server, the real programs on a real terminal of 80
# columns (tmux), what stands there made into SVG by docs/tosvg. Needs go and tmux; nothing
# of its user's is touched.
set -eu
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
mkfifo "$tmp/stdin"
go build -o "$tmp/tosvg" ./docs/tosvg
go run ./demo -hold <"$tmp/stdin" >"$tmp/said" &
exec 9>"$tmp/stdin"
jobs=
trap 'tmux -L muxd-screens kill-server 2>/dev/null || :; exec 9>&-; kill $jobs 2>/dev/null || :; wait; rm -r "$tmp"' EXIT INT TERM
until stage=$(sed -n 's/^stage=//p' "$tmp/said") && [ -n "$stage" ]; do sleep 0.2; done
export MUXD_SOCKET="$stage/ctl" XDG_STATE_HOME="$stage/state"

# Three hosts: two are the server as two users know it, one nobody answers for.
{ sed 's/^Host demo/Host web db/; /^  User /d' "$stage/config"
  printf 'Host db\n  User postgres\nHost web\n  User deploy\nHost lab\n  HostName 127.0.0.1\n  Port 9\n  User ci\n'; } >"$tmp/config"
muxc() { "$stage/muxc" -F "$tmp/config" "$@"; }
muxc -f -N -L 8080:intranet:80 -D 1080 web </dev/null >/dev/null
muxc db echo >/dev/null
(muxc -o ConnectTimeout=60 lab echo >/dev/null 2>&1 || :) 9>&- &
jobs="$jobs $!"
(while :; do head -c 30000; sleep 5; done </dev/zero | muxc web cat >/dev/null 2>&1) 9>&- &
jobs="$jobs $!"
(sleep 70 | muxc -t web >/dev/null 2>&1) 9>&- &
jobs="$jobs $!"
(while muxc -O check web && muxc -O check db; do sleep 1; done) >/dev/null 2>&1 9>&- & # probes, for round trips
jobs="$jobs $!"

# picture NAME ROWS SECONDS [KEY...]: what muxd NAME shows on a terminal so long
# after it was started and the keys were pressed, as docs/NAME.svg.
picture() {
    name=$1 rows=$2 seconds=$3; shift 3
    tmux -L muxd-screens -f /dev/null new-session -d -x 80 -y "$rows" "PS1='$ ' TERM=xterm PATH='$stage:$PATH' sh"
    sleep 1
    tmux -L muxd-screens send-keys "muxd $name" Enter
    sleep "$seconds"
    [ $# = 0 ] || { tmux -L muxd-screens send-keys "$@"; sleep 2; }
    tmux -L muxd-screens capture-pane -e -p | "$tmp/tosvg" -title "muxd $name on a terminal" >"$tmp/$name.svg"
    tmux -L muxd-screens kill-server
    mv "$tmp/$name.svg" docs
}
sleep 20
picture status 24 3
picture top 16 26 Down Down
"$stage/muxd" stop --force
