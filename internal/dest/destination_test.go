package dest

import (
	"fmt"
	"testing"
	"time"

	"muxd/control"
)

// keyOf is the name of the host that a command line belongs to.
func (r *rig) keyOf(env []string, args ...string) string {
	r.t.Helper()
	plan, err := r.Resolve(r.t.Context(), &control.Invocation{Args: append(args, "true"), Dir: r.home, Env: env}, silent())
	if err != nil {
		r.t.Fatalf("%q: %v", args, err)
	}
	return plan.Session.Dest.(*Destination).Key
}

func TestWhatSharesAConnection(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host short\n HostName host\n User me\nHost *\n IdentityFile ~/.ssh/id_test\n")
		r.write(".ssh/id_test", "")
		base := r.keyOf(nil, "host")
		for _, args := range [][]string{
			{"short"}, {"me@host"}, {"ssh://me@host:22"}, {"-p", "22", "host"}, {"-l", "me", "host"}, {"HOST"},
			{"-o", "HostName=host", "elsewhere"}, {"-o", "User=me", "host"}, {"host", "-t"},
			{"-o", "ControlPersist=5", "host"}, {"-o", "ServerAliveInterval=5", "host"}, {"-o", "ServerAliveCountMax=5", "host"},
			{"-o", "ConnectTimeout=5", "host"}, {"-o", "BatchMode=yes", "host"}, {"-o", "LogLevel=QUIET", "host"}, {"-q", "host"}, {"-v", "host"},
			{"-o", "RequestTTY=force", "host"}, {"-o", "SendEnv=LC_*", "host"}, {"-o", "SetEnv=A=b", "host"}, {"-C", "host"}, {"-n", "host"},
			{"-o", "StrictHostKeyChecking=accept-new", "host"}, {"-o", "StrictHostKeyChecking=yes", "host"}, {"-e", "none", "host"},
			{"-o", "ControlMaster=auto", "-o", "ControlPath=/tmp/x", "host"}, {"-o", "EscapeChar=none", "host"}, {"-o", "IPQoS=none", "host"},
			{"-s", "host"}, {"-F", "none", "-i", r.home + "/.ssh/id_test", "host"}, {"-o", "UserKnownHostsFile=~/.ssh/known_hosts ~/.ssh/known_hosts2", "host"},
			{"-o", "IdentityAgent=SSH_AUTH_SOCK", "host"}, {"-T", "host"},
		} {
			if r.keyOf(nil, args...) != base {
				t.Errorf("%q has a connection of its own", args)
			}
		}
		if r.keyOf([]string{"SSH_AUTH_SOCK=/tmp/agent.1"}, "host") != r.keyOf([]string{"SSH_AUTH_SOCK=/tmp/agent.2"}, "host") {
			t.Error("the value of SSH_AUTH_SOCK splits")
		}
		agent := []string{"-o", "IdentityAgent=$MY_AGENT", "host"}
		if r.keyOf([]string{"MY_AGENT=/a"}, agent...) != r.keyOf([]string{"MY_AGENT=/b"}, agent...) {
			t.Error("the value of a variable in IdentityAgent splits")
		}
		file := []string{"-i", "${DIR}/key", "host"}
		if r.keyOf([]string{"DIR=/a"}, file...) == r.keyOf([]string{"DIR=/b"}, file...) {
			t.Error("two identities share")
		}
	})
}

func TestWhatSplitsAConnection(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write("key", "")
		r.write("key2", "")
		seen := map[string]string{r.keyOf(nil, "host"): "host"}
		for _, args := range [][]string{
			{"other"}, {"you@host"}, {"-p", "2222", "host"}, {"-i", "key", "host"}, {"-i", "key2", "host"}, {"-i", "key", "-i", "key2", "host"},
			{"-o", "StrictHostKeyChecking=no", "host"}, {"-o", "UserKnownHostsFile=other", "host"}, {"-o", "GlobalKnownHostsFile=other", "host"},
			{"-o", "IdentityAgent=none", "host"}, {"-o", "IdentityAgent=/tmp/a", "host"}, {"-o", "IdentityAgent=$MY_AGENT", "host"},
			{"-o", "IdentitiesOnly=yes", "host"}, {"-o", "CertificateFile=c", "host"}, {"-o", "HostKeyAlias=h", "host"},
			{"-o", "PubkeyAuthentication=no", "host"}, {"-o", "PasswordAuthentication=no", "host"}, {"-o", "KbdInteractiveAuthentication=no", "host"},
			{"-o", "PreferredAuthentications=password", "host"}, {"-c", "aes128-ctr", "host"}, {"-m", "hmac-sha2-256", "host"},
			{"-o", "KexAlgorithms=curve25519-sha256", "host"}, {"-o", "HostKeyAlgorithms=ssh-ed25519", "host"}, {"-4", "host"}, {"-6", "host"},
			{"-b", "192.0.2.9", "host"}, {"-B", "lo", "host"},
		} {
			k := r.keyOf(nil, args...)
			if with, twice := seen[k]; twice {
				t.Errorf("%q shares with %s", args, with)
			}
			seen[k] = fmt.Sprintf("%q", args)
		}
	})
}

func TestPersistText(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			value, text string
			after       time.Duration
			forever     bool
		}{
			{"", "1h0m0s", time.Hour, false}, {"no", "no", 0, false}, {"yes", "forever", 0, true}, {"10m", "10m0s", 10 * time.Minute, false},
		} {
			args := []string{"host", "true"}
			if c.value != "" {
				args = append([]string{"-o", "ControlPersist=" + c.value}, args...)
			}
			d := r.request(args...).Dest.(*Destination)
			after, forever := d.Persist()
			if d.PersistText() != c.text || after != c.after || forever != c.forever {
				t.Errorf("%q: %s %v %v", c.value, d.PersistText(), after, forever)
			}
		}
	})
}

func TestNetwork(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for flag, want := range map[string]string{"-4": "tcp4", "-6": "tcp6", "-q": "tcp"} {
			if got := r.request(flag, "host", "true").Dest.(*Destination).Network(); got != want {
				t.Errorf("%s: %s", flag, got)
			}
		}
	})
}
