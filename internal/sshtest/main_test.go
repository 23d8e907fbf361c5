package sshtest

import (
	"testing"

	"go.uber.org/goleak"
)

// Whatever a test of this package starts has ended when the tests have.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
