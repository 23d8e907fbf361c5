package dest

import (
	"fmt"
	"strings"

	"muxd/control"
	"muxd/internal/sshconf"
)

// extra are the keywords that put something beside the session. The session
// works without, and the person is told what is missing.
var extra = []string{"tunnel"}

// tellMissing names what will be missing, to a person at a terminal only: a
// script's stderr is the command's.
func tellMissing(conf *sshconf.Config, v *control.Invocation, p control.Prompter, host string) {
	if !v.TTY[2] || !conf.Informs() {
		return
	}
	var missing []string
	for _, k := range extra {
		if conf.IsSet(k) && !(strings.HasSuffix(k, "forward") && conf.IsSet("clearallforwardings")) {
			missing = append(missing, k)
		}
	}
	if len(missing) > 0 {
		p.Notice(fmt.Sprintf("muxc: %s: the configuration's %s not carried out by this version",
			host, strings.Join(missing, ", ")+plural(len(missing))))
	}
}

func plural(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}
