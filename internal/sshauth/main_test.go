package sshauth

import (
	"fmt"
	"os"
	"testing"
)

// TestMain makes the test binary the SSH_ASKPASS of the programs that it runs,
// and the process that is killed in TestKilledWithItsAgent.
func TestMain(m *testing.M) {
	if socket := os.Getenv(AskpassVar); socket != "" {
		os.Exit(Askpass(socket, os.Args[1:]))
	}
	if dir := os.Getenv("SSHAUTH_TEST_HOLD"); dir != "" {
		p := NewPrivateAgent(PrivateConfig{Dir: dir, Askpass: os.Args[0]})
		proc, err := p.process()
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(proc.socket)
		select {}
	}
	os.Exit(m.Run())
}
