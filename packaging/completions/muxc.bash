# bash completion for muxc: ssh's own, with what muxc has beyond it. Where the
# package bash-completion is missing, hosts of ssh_config and known_hosts alone.

# Without patterns, and without what bash would run or replace: compgen -W expands
# its words, and no TAB is to run what a file says.
_muxc_hosts() {
    local file
    for file in ~/.ssh/config /etc/ssh/ssh_config "${XDG_CONFIG_HOME:-$HOME/.config}/muxd/config"; do
        [[ -r $file ]] && awk '{ sub(/\r$/, "") } tolower($1) == "host" { for (i = 2; i <= NF && $i !~ /^#/; i++) if ($i !~ /[][*?!$`\\\042\047~]/) print $i }' "$file"
    done
    for file in ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts; do
        [[ -r $file ]] && awk '$1 !~ /^[|@#]/ { n = split($1, a, ","); for (i = 1; i <= n; i++) if (a[i] !~ /[][*?!$`\\\042\047~]/) print a[i] }' "$file"
    done
}

_muxc() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $prev == -O ]]; then
        COMPREPLY=($(compgen -W "check forward cancel exit stop conninfo channels proxy prepare" -- "$cur"))
        return
    fi
    local ours=()
    if [[ $prev == -o ]]; then
        ours=($(compgen -W "WaitForReady= Pinned= MaxLifetime= Share= Confirm= Audit= NotifyCommand= KeepWarm= Reattach= ControlSockets= StickyForward= FdPass= ErrorFormat= MaxConnections= Bulk= RememberSecrets= TCPNoDelay= TCPKeepAliveIdle= TCPKeepAliveInterval= TCPKeepAliveCount= TCPUserTimeout=" -- "$cur"))
        compopt -o nospace 2>/dev/null
    fi
    # Under bash-completion 2 the function is _ssh, since 2.12 _comp_cmd_ssh.
    local theirs
    for theirs in _comp_cmd_ssh _ssh; do
        if ! declare -F "$theirs" >/dev/null; then
            declare -F _comp_load >/dev/null && _comp_load ssh 2>/dev/null
            declare -F _completion_loader >/dev/null && _completion_loader ssh 2>/dev/null
        fi
        if declare -F "$theirs" >/dev/null; then
            "$theirs" ssh "$cur" "$prev"
            COMPREPLY+=("${ours[@]}")
            return
        fi
    done
    COMPREPLY=("${ours[@]}")
    case $prev in
    -[EFIiS]) compopt -o default 2>/dev/null; return ;;
    -[BbcDeLlmoPpQRWw]) return ;;
    esac
    [[ $cur == -* ]] || COMPREPLY=($(compgen -W "$(_muxc_hosts | sort -u)" -- "$cur"))
} && complete -F _muxc muxc
