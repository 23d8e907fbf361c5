package sshtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// configText is the sshd_config: the test's lines first, because sshd keeps
// the first value of a keyword.
func (s *SSHD) configText(lines []string) string {
	config := append([]string{}, lines...)
	config = append(config,
		"Port "+fmt.Sprint(s.Port),
		"ListenAddress "+s.Host,
		"HostKey "+filepath.Join(s.dir, "host_key"),
		"AuthorizedKeysFile "+filepath.Join(s.dir, "authorized_keys"),
		"PidFile none",
		"UsePAM no",
		"StrictModes no", // the directory of a test may be anybody's
		"UseDNS no",
		"PermitRootLogin yes",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PrintMotd no",
		"PrintLastLog no",
		"LogLevel VERBOSE",
	)
	if !configures(lines, "setenv") { // the first such line counts, and no other
		// The tester's own start-up files have no part in a test, some run programs
		// that lock against each other for a minute. A login shell reads them in
		// HOME; any other bash that sshd starts at nesting level 0 takes itself
		// for one of rshd, and reads .bashrc.
		config = append(config, "SetEnv SHLVL=9 HOME="+s.dir)
	}
	if !configures(lines, "maxstartups") { // of this one the last line counts
		config = append(config, "MaxStartups 1000")
	}
	if !configures(lines, "subsystem") { // a second one of a name is an error
		config = append(config, "Subsystem sftp internal-sftp")
	}
	if hasPenalties() {
		config = append(config, "PerSourcePenalties no")
	}
	return strings.Join(config, "\n") + "\n"
}

func configures(lines []string, keyword string) bool {
	for _, line := range lines {
		if f := strings.Fields(line); len(f) > 0 && strings.EqualFold(f[0], keyword) {
			return true
		}
	}
	return false
}

// hasPenalties says whether sshd knows PerSourcePenalties, which came with
// OpenSSH 9.8, refuses a client that fails often, and is an error before.
var hasPenalties = sync.OnceValue(func() bool {
	path, err := sshdPath()
	if err != nil {
		return false
	}
	// Old ones know no -V and print the version with their usage.
	out, _ := exec.Command(path, "-V").CombinedOutput()
	return atLeast(string(out), 9, 8)
})

// atLeast compares the version in a text such as "OpenSSH_9.2p1, OpenSSL …".
func atLeast(text string, major, minor int) bool {
	_, after, ok := strings.Cut(text, "OpenSSH_")
	var x, y int
	if n, _ := fmt.Sscanf(after, "%d.%d", &x, &y); !ok || n != 2 {
		return false
	}
	return x > major || x == major && y >= minor
}

// Configure replaces the lines that StartSSHD was given; Restart puts them
// into effect.
func (s *SSHD) Configure(t testing.TB, lines ...string) {
	t.Helper()
	writeFile(t, s.config, s.configText(lines))
}

// Authorize makes the keys the only ones that may log in, at once; with none,
// nobody may.
func (s *SSHD) Authorize(t testing.TB, keys ...*Key) {
	t.Helper()
	var text strings.Builder
	for _, k := range keys {
		text.WriteString(k.Line())
	}
	writeFile(t, filepath.Join(s.dir, "authorized_keys"), text.String())
}

// RotateHostKey gives sshd a new host key, which Restart puts into effect.
// HostKey, KnownHosts and KnownHostsLine stay those of the old one.
func (s *SSHD) RotateHostKey(t testing.TB) *Key {
	t.Helper()
	k := NewKey()
	k.WriteFile(t, s.dir, "host_key", "")
	return k
}

// ClientConfig writes an ssh_config in which the alias is this sshd, for
// ssh -F; the lines come first in the alias's block and so win. It names every
// file and no agent, so that nothing of the tester's own has a part.
func (s *SSHD) ClientConfig(t testing.TB, alias string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ssh_config")
	block := append([]string{"Host " + alias}, lines...)
	block = append(block,
		"HostName "+s.Host,
		fmt.Sprintf("Port %d", s.Port),
		"User "+s.User,
		"IdentityFile "+s.ClientKey,
		"IdentitiesOnly yes",
		"IdentityAgent none",
		"UserKnownHostsFile "+s.KnownHosts,
		"GlobalKnownHostsFile "+os.DevNull,
		"StrictHostKeyChecking yes",
		"UpdateHostKeys no",
	)
	writeFile(t, path, strings.Join(block, "\n  ")+"\n")
	return path
}
