package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// TestNewcomer: twenty hosts behind a bastion, one encrypted key, a
// configuration in several files that was written for ssh. Nothing is changed,
// muxc is typed for ssh, and the passphrase is asked for once.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h, s := startHosts(t, "gate", "lab")
	requireTerminals(t)
	key := sshtest.NewKey()
	file := key.WriteFile(t, h.dir, "root@lab", "open sesame")
	for _, server := range s {
		server.Authorize(t, key)
	}
	var names []string
	var hosts strings.Builder
	for i := range 20 {
		names = append(names, fmt.Sprintf("%s%02d", []string{"web", "db"}[i/12], i))
		fmt.Fprintf(&hosts, "Host %s\n\tHostKeyAlias %s.lab\n", names[i], names[i])
	}
	line := func(pattern string, s *sshtest.SSHD) string {
		_, key, _ := strings.Cut(s.KnownHostsLine, " ")
		return pattern + " " + strings.TrimSpace(key) + "\n"
	}
	known := write(t, filepath.Join(h.dir, "known_hosts"), line("*.lab", s["lab"])+line("gate", s["gate"])+"a line that is none\n")
	if err := os.Mkdir(filepath.Join(h.dir, "conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(h.dir, "conf.d/hosts.conf"), hosts.String())
	h.cfg = write(t, filepath.Join(h.dir, "config"), fmt.Sprintf(`# as it stands in many a home
Include %[1]s/conf.d/*.conf

Host gate
    HostKeyAlias gate
    Port         %[2]d
    ProxyJump    none

Host web* db* !*.example.com
    Port=%[3]d
    ProxyJump gate

Match originalhost "web*,db*" exec "test -n '%%n'"
    SetEnv MUXTEST_WHO=%%n

Match user %[4]s
    IdentityFile %[1]s/%%r@lab
Host *
    HostName 127.0.0.1
    User %[4]s
    IdentityFile %[5]s
    IdentitiesOnly yes
    IdentityAgent none
    ControlMaster auto
    ControlPath %[1]s/cm-%%C
    ControlPersist 10m
    ServerAliveInterval 30
    HashKnownHosts yes
    UserKnownHostsFile %[6]s
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    SendEnv LANG LC_*
    Compression yes
`, h.dir, s["gate"].Port, s["lab"].Port, s["lab"].User, file, known))

	first := h.onScreen(h.muxc(names[0], "echo $MUXTEST_WHO"))
	first.shows("Enter passphrase for key '" + file + "': ")
	first.hidesTyping()
	first.types("open sesame\n")
	first.ends(0)
	first.expect(`\A\r\n` + names[0] + `\r\n\z`)
	all := map[string]*running{}
	for _, name := range names {
		all[name] = h.start(h.muxc(name, "echo $MUXTEST_WHO"), nil)
	}
	for name, p := range all {
		p.wait().is(t, name+"\n", "", 0)
	}
	if gate, lab := s["gate"].Logins(), s["lab"].Logins(); gate != 1 || lab != 20 {
		t.Errorf("%d logins at the bastion and %d behind it, want 1 and 20", gate, lab)
	}
	for _, name := range append(names, "gate") {
		theirs, ours := h.run(h.command("ssh", "-G", "-F", h.cfg, name), nil), h.ok(h.muxc("-G", name))
		for line := range strings.Lines(theirs.out) {
			// Not ControlPath and SetEnv: ssh has more tokens in them since 9.4 and 9.6.
			switch k, _, _ := strings.Cut(line, " "); k {
			case "host", "hostname", "user", "port", "proxyjump", "hostkeyalias", "identityfile", "sendenv", "userknownhostsfile", "serveraliveinterval":
				if !strings.Contains("\n"+ours.out, "\n"+line) {
					t.Errorf("%s: ssh -G has %q", name, line)
				}
			}
		}
	}
}
