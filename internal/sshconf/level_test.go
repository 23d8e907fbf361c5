package sshconf

import "testing"

func TestWhatTheLogLevelShows(t *testing.T) {
	for level, want := range map[string][2]bool{ // quiet, informs
		"quiet": {true, false}, "fatal": {true, false}, "error": {false, false}, "info": {false, true}, "verbose": {false, true}, "debug3": {false, true},
	} {
		w := newWorld(t)
		w.options([]string{"LogLevel=" + level})
		c, err := Resolve(w.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{c.Quiet(), c.Informs()}; got != want {
			t.Errorf("%s: quiet, informs: %v", level, got)
		}
	}
}

func TestIsSet(t *testing.T) {
	w := newWorld(t)
	w.options([]string{"VisualHostKey=yes", "ForwardAgent=no", "Tunnel=no", "ControlPath=NONE"})
	c, err := Resolve(w.in)
	if err != nil {
		t.Fatal(err)
	}
	for keyword, want := range map[string]bool{"VisualHostKey": true, "forwardagent": false, "controlpath": false, "loglevel": false, "nonsense": false} {
		if got := c.IsSet(keyword); got != want {
			t.Errorf("%s: %v", keyword, got)
		}
	}
}
