# bash completion for muxd.

# Without patterns, and without what bash would run or replace: compgen -W expands
# its words, and no TAB is to run what a file says.
_muxd_hosts() {
    local file
    for file in ~/.ssh/config /etc/ssh/ssh_config "${XDG_CONFIG_HOME:-$HOME/.config}/muxd/config"; do
        [[ -r $file ]] && awk '{ sub(/\r$/, "") } tolower($1) == "host" { for (i = 2; i <= NF && $i !~ /^#/; i++) if ($i !~ /[][*?!$`\\\042\047~]/) print $i }' "$file"
    done
}

_muxd() {
    local cur=${COMP_WORDS[COMP_CWORD]} words=
    if ((COMP_CWORD == 1)); then
        words="status top login wait reconnect recycle events metrics doctor install uninstall lock unlock stop --version --help"
    elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == --for ]]; then
        words="ready down"
    else
        case ${COMP_WORDS[1]} in
        status) words="--json --probe-forwards" ;;
        login) words="--all $(_muxd_hosts)" ;;
        wait) words="--for --timeout $(_muxd_hosts)" ;;
        reconnect) words="--all --forget $(_muxd_hosts)" ;;
        recycle) words="--all $(_muxd_hosts)" ;;
        doctor) words="--all --json $(_muxd_hosts)" ;;
        metrics) words="--file" ;;
        events) words="--json --since --no-follow $(_muxd_hosts)" ;;
        install | uninstall) words="--ssh-config --service --write" ;;
        stop) words="--force --drain --timeout" ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
} && complete -F _muxd muxd
