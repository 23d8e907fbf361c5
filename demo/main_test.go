package main

import (
	"os"
	"testing"
)

// playVar has the test's own program be the demo, which would take as long to
// build as to play.
const playVar = "MUXD_DEMO_PLAY"

func TestMain(m *testing.M) {
	if os.Getenv(playVar) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}
