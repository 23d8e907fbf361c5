package main

import (
	"strings"
	"testing"
)

// What is wrong with a command line stays on a screen of 24 lines, with what the
// command wants, and no line of it is broken on 80 columns.
func TestUsage(t *testing.T) {
	for line := range strings.Lines(usage) {
		if n := len(line) - 1; n > 79 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for command, want := range map[string]string{
		"wait": "usage: muxd wait HOST [--for ready|down] [--timeout 30s]\n                           for a connection, or for none; 1: not in time\n",
		"lock": "usage: muxd lock           let nothing new begin, on any host\n",
		"stat": "",
		"":     "",
	} {
		if got := usageOf(command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	if got := usageOf("install"); strings.Count(got, "muxd install ") != 2 || !strings.HasPrefix(got, "usage: muxd install --ssh-config") ||
		!strings.HasSuffix(got, "launchd\n") {
		t.Errorf("install: %s", got)
	}
}
