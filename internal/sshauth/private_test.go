package sshauth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// newPrivate is a PrivateAgent whose askpass is this test binary.
func newPrivate(t testing.TB) *PrivateAgent {
	t.Helper()
	sshtest.Program(t, "ssh-agent")
	sshtest.Program(t, "ssh-add")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "p") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	p := NewPrivateAgent(PrivateConfig{Dir: filepath.Join(dir, "keys"), Askpass: exe})
	t.Cleanup(func() { p.Close(); os.RemoveAll(dir) })
	return p
}

// keygen writes a key by ssh-keygen, and returns its public half as of the .pub
// file.
func keygen(t testing.TB, args ...string) (string, *key) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k")
	args = append([]string{"-q", "-a", "1", "-C", "", "-f", path}, args...)
	if out, err := exec.Command(sshtest.Program(t, "ssh-keygen"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %v: %v: %s", args, err, out)
	}
	pub, err := readPublic(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return path, &key{name: "k", pub: pub}
}

const gcm = "aes256-gcm@openssh.com"

// inAgent counts the keys that the private agent holds at this moment.
func (p *PrivateAgent) inAgent(t testing.TB) int {
	t.Helper()
	a, _, err := p.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	keys, err := a.held()
	if err != nil {
		t.Fatal(err)
	}
	return len(keys)
}

// Files that x/crypto cannot read are read by ssh-add, in ssh's words, and only
// when the server took their public half, where that is known.
func TestForeignFiles(t *testing.T) {
	p := newPrivate(t)
	for _, tt := range []struct {
		name   string
		args   []string
		hidden bool // no .pub beside it
	}{
		{"gcm", []string{"-t", "ed25519", "-Z", gcm}, false},
		{"gcm without pub", []string{"-t", "ed25519", "-Z", gcm}, true},
		{"chacha", []string{"-t", "ecdsa", "-Z", "chacha20-poly1305@openssh.com"}, false},
		{"3des", []string{"-t", "rsa", "-b", "2048", "-Z", "3des-cbc"}, false},
		{"pkcs8", []string{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, false},
		{"pkcs8 without pub", []string{"-t", "ecdsa", "-m", "PKCS8"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, k := keygen(t, append(tt.args, "-N", "pass word")...)
			if tt.hidden {
				os.Remove(path + ".pub")
			}
			p1 := &person{answers: []string{"wrong", "pass word"}}
			cfg := usual()
			cfg.IdentityFiles, cfg.Private, cfg.Remember, cfg.Ask = []string{path}, p, Forever, p1.ask
			used, err := (&server{accept: []*key{k}}).login(t, cfg)
			wantUsed(t, used, err, "publickey "+ssh.FingerprintSHA256(k.pub)+" ("+path+")")
			ask := "Enter passphrase for key '" + path + "': "
			if got := p1.texts(); !slices.Equal(got, []string{ask, ask}) || p1.asked[0].Kind != Passphrase || p1.asked[0].KeyFile != path || p1.asked[0].Echo {
				t.Errorf("asked %+v", p1.asked)
			}
			// Nobody is needed for the next one.
			cfg.Ask, cfg.Background = nil, true
			used, err = (&server{accept: []*key{k}}).login(t, cfg)
			wantUsed(t, used, err, "publickey "+ssh.FingerprintSHA256(k.pub)+" ("+path+")")
		})
	}
}

// What a login may keep: without end, for a time, not at all.
func TestPrivateAgentRemembers(t *testing.T) {
	p := newPrivate(t)
	path, k := keygen(t, "-t", "ed25519", "-Z", gcm, "-N", "pass")
	login := func(remember time.Duration) int {
		t.Helper()
		who := &person{answers: []string{"pass"}}
		cfg := usual()
		cfg.IdentityFiles, cfg.Private, cfg.Remember, cfg.Ask = []string{path}, p, remember, who.ask
		if _, err := (&server{accept: []*key{k}}).login(t, cfg); err != nil {
			t.Fatal(err)
		}
		return len(who.asked)
	}
	for range 2 {
		if n := login(0); n != 1 || p.inAgent(t) != 0 {
			t.Errorf("not to be kept: asked %d times, %d keys left", n, p.inAgent(t))
		}
	}
	const kept = 2 * time.Second
	began := time.Now()
	young := func() bool { return time.Since(began) < kept } // or this machine is so slow that it says nothing
	if n := login(kept); n != 1 || p.inAgent(t) != 1 && young() {
		t.Errorf("to be kept: asked %d times, %d keys", n, p.inAgent(t))
	}
	if n := login(kept); n != 0 && young() {
		t.Errorf("kept: asked %d times", n)
	}
	if n := login(0); n != 1 || p.inAgent(t) != 1 && young() {
		t.Errorf("not to use what is kept: asked %d times, %d keys", n, p.inAgent(t))
	}
	time.Sleep(2100 * time.Millisecond) // its time is over, and what is left is for logins under way
	if n := login(Forever); n != 1 {
		t.Errorf("run down: asked %d times", n)
	}
	os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour))
	if n := login(Forever); n != 1 {
		t.Errorf("another file: asked %d times", n)
	}
	if n := login(Forever); n != 0 {
		t.Errorf("kept again: asked %d times", n)
	}
}

func TestForeignFileRefused(t *testing.T) {
	p := newPrivate(t)
	path, k := keygen(t, "-t", "ed25519", "-Z", gcm, "-N", "pass word")
	damaged, _ := keygen(t, "-t", "ecdsa", "-m", "PKCS8", "-N", "pass word")
	b, _ := os.ReadFile(damaged)
	write(t, damaged, append(b[:len(b)/2], []byte("\n-----END ENCRYPTED PRIVATE KEY-----\n")...))
	other, _ := keygen(t, "-t", "ecdsa", "-m", "PKCS8", "-N", "pass word")
	writePublic(t, other+".pub", k.pub)
	for _, tt := range []struct {
		name, path string
		answers    []string
		edit       func(*Config)
		asked      int
		want       string
		kind       error
	}{
		{"wrong", path, []string{"1", "2", "3", "pass word"}, nil, 3, "key " + path + ": no passphrase given was right", ErrDenied},
		{"none", path, []string{""}, nil, 1, "key " + path + ": no passphrase was given", ErrDenied},
		{"nobody", path, nil, nil, 1, "key " + path + " needs a passphrase and nobody could be asked", ErrNobody},
		{"batch", path, nil, func(c *Config) { c.Ask = nil }, 0, "key " + path + " needs a passphrase and nobody could be asked", ErrNobody},
		{"background", path, []string{"pass word"}, func(c *Config) { c.Background = true }, 0, "key " + path + " needs a passphrase and nobody", ErrNobody},
		{"no prompts", path, []string{"pass word"}, func(c *Config) { c.NumberOfPasswordPrompts = 0 }, 0, "no passphrase given was right", ErrDenied},
		{"damaged", damaged, []string{"pass word", "pass word", "pass word"}, nil, 0, "key " + damaged + ": ", ErrDenied},
		{"another key", other, []string{"pass word"}, nil, 1, "key " + other + ": its private half does not match its public one", ErrDenied},
		{"too long", path, []string{strings.Repeat("x", 2000)}, nil, 1, "key " + path + ": the passphrase is longer than ssh-add takes", ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			who := &person{answers: tt.answers}
			cfg := usual()
			cfg.IdentityFiles, cfg.Private, cfg.Remember, cfg.Ask = []string{tt.path}, p, Forever, who.ask
			if tt.edit != nil {
				tt.edit(&cfg)
			}
			_, err := (&server{accept: []*key{k}}).login(t, cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.kind) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error = %v\nwant %q", err, tt.want)
			}
			if len(who.asked) != tt.asked && tt.name != "damaged" {
				t.Errorf("asked %q", who.texts())
			}
			if n := p.inAgent(t); n != 0 {
				t.Errorf("%d keys left", n)
			}
		})
	}
}

// Without OpenSSH's programs one sentence says which file, what is missing and
// the cure.
func TestProgramsMissing(t *testing.T) {
	path, k := keygen(t, "-t", "ed25519", "-Z", gcm, "-N", "pass")
	defer func(dirs []string) { usualDirs = dirs }(usualDirs)
	usualDirs = nil
	t.Setenv("PATH", t.TempDir())
	p := NewPrivateAgent(PrivateConfig{Dir: filepath.Join(t.TempDir(), "d")})
	defer p.Close()
	cfg := usual()
	cfg.IdentityFiles, cfg.Private, cfg.Ask = []string{path}, p, (&person{answers: []string{"pass"}}).ask
	_, err := (&server{accept: []*key{k}}).login(t, cfg)
	want := "key " + path + `: its cipher "` + gcm + `" cannot be read here, and ssh-agent is not installed here: install OpenSSH's client programs (ssh-agent, ssh-add)`
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error = %v\nwant …%s", err, want)
	}
}

// agentPID is the process behind the agent's guard.
func agentPID(t testing.TB, socket string) int {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out, err := exec.Command("sh", "-c", `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q -- "^[^ ]*ssh-agent -a $0 " && echo ${p#/proc/}; done`, socket).Output()
	pid, perr := strconv.Atoi(strings.TrimSpace(string(out)))
	if perr != nil {
		sshtest.Require(t, "/proc/self/stat")
		t.Fatalf("cannot tell the agent's process: %q, %v", out, err)
	}
	return pid
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z")
}

func TestPrivateAgentEnds(t *testing.T) {
	p := newPrivate(t)
	proc, err := p.process()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(proc.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
	pid := agentPID(t, proc.socket)
	p.Close()
	eventually(t, "the agent ended", func() bool { return gone(pid) })
	if _, err := os.Stat(proc.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory left: %v", err)
	}
	if _, err := p.process(); !errors.Is(err, errEnded) {
		t.Errorf("after Close: %v", err)
	}
}

// What agents left whose guards were killed too is removed; what one holds, or
// what may be one that starts just now, is not.
func TestSweep(t *testing.T) {
	p := newPrivate(t)
	proc, err := p.process()
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	dead, fresh, file := p.cfg.Dir+"-1", p.cfg.Dir+"-2", p.cfg.Dir+"-3"
	os.Mkdir(dead, 0o700)
	os.Mkdir(fresh, 0o700)
	write(t, file, nil)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	for _, path := range []string{dead, file, proc.dir} {
		os.Chtimes(path, old, old)
	}
	sweep(p.cfg.Dir)
	for path, want := range map[string]bool{dead: false, fresh: true, file: true, proc.dir: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	long := NewPrivateAgent(PrivateConfig{Dir: filepath.Join(t.TempDir(), strings.Repeat("x", 100)), Askpass: p.cfg.Askpass})
	defer long.Close()
	if proc, err = long.process(); err != nil || !strings.HasPrefix(proc.dir, "/tmp/muxd-keys-") {
		t.Errorf("a long name: %v", err)
	}
}

// Killed without a chance to do anything, this process leaves neither agent nor
// directory behind.
func TestKilledWithItsAgent(t *testing.T) {
	newPrivate(t) // for what it needs
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "SSHAUTH_TEST_HOLD="+dir+"/keys")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid := agentPID(t, strings.TrimSpace(line))
	c.Process.Kill()
	c.Wait()
	eventually(t, "the agent ended", func() bool { return gone(pid) })
	eventually(t, "the directory went", func() bool {
		left, _ := filepath.Glob(dir + "/*")
		return len(left) == 0
	})
}

// An agent that is killed is replaced, with its keys loaded anew; so is one
// whose guard is killed.
func TestPrivateAgentKilled(t *testing.T) {
	p := newPrivate(t)
	path, k := keygen(t, "-t", "ed25519", "-Z", gcm, "-N", "pass")
	for _, victim := range []string{"", "agent", "guard"} {
		if victim != "" {
			proc, _ := p.process()
			pid := proc.cmd.Process.Pid
			if victim == "agent" {
				pid = agentPID(t, proc.socket)
			}
			syscall.Kill(pid, syscall.SIGKILL)
			if victim == "guard" {
				<-proc.done
			} else {
				eventually(t, "the agent ended", func() bool { return gone(pid) })
			}
		}
		who := &person{answers: []string{"pass"}}
		cfg := usual()
		cfg.IdentityFiles, cfg.Private, cfg.Remember, cfg.Ask = []string{path}, p, Forever, who.ask
		if _, err := (&server{accept: []*key{k}}).login(t, cfg); err != nil || len(who.asked) != 1 {
			t.Errorf("%s killed: %v, asked %q", victim, err, who.texts())
		}
	}
}

// An agent that hangs is given up by the login that meets it, and the next one
// has another. The hung one ends too.
func TestPrivateAgentHangs(t *testing.T) {
	defer func(d time.Duration) { agentListTime = d }(agentListTime)
	agentListTime = 200 * time.Millisecond
	p := newPrivate(t)
	path, k := keygen(t, "-t", "ed25519", "-Z", gcm, "-N", "pass")
	proc, err := p.process()
	if err != nil {
		t.Fatal(err)
	}
	pid := agentPID(t, proc.socket)
	syscall.Kill(pid, syscall.SIGSTOP)
	login := func() error {
		cfg := usual()
		cfg.IdentityFiles, cfg.Private, cfg.Ask = []string{path}, p, (&person{answers: []string{"pass"}}).ask
		_, err := (&server{accept: []*key{k}}).login(t, cfg)
		return err
	}
	if err := login(); err == nil || !strings.Contains(err.Error(), "key "+path+": the private agent does not answer") {
		t.Errorf("error = %v", err)
	}
	agentListTime = patience
	if err := login(); err != nil {
		t.Error(err)
	}
	eventually(t, "the hung agent ended", func() bool { return gone(pid) })
}

// The end of the login takes the question back and ends ssh-add, which would
// wait for ever; so does what the person says, and the agent goes on.
func TestForeignPromptEnds(t *testing.T) {
	p := newPrivate(t)
	path, k := keygen(t, "-t", "ed25519", "-Z", gcm, "-N", "pass")
	interrupted := errors.New("interrupted")
	for _, how := range []string{"cancelled", "lost", "interrupted"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &server{accept: []*key{k}}
		c := s.serve(t)
		cfg := usual()
		cfg.IdentityFiles, cfg.Private, cfg.Remember = []string{path}, p, Forever
		cfg.Ask = func(ctx context.Context, q Question) (string, error) {
			switch how {
			case "interrupted":
				return "", interrupted
			case "lost":
				c.Close()
			default:
				cancel()
			}
			<-ctx.Done()
			return "", ctx.Err()
		}
		_, err := handshake(t, ctx, c, cfg)
		switch {
		case how == "interrupted" && !errors.Is(err, interrupted), how == "cancelled" && !errors.Is(err, context.Canceled),
			how == "lost" && (err == nil || !strings.Contains(err.Error(), "lost") && !strings.Contains(err.Error(), "closed")):
			t.Errorf("%s: %v", how, err)
		}
	}
	out, _ := exec.Command("pgrep", "-f", "ssh-add .*"+path).Output()
	if len(out) > 0 {
		t.Errorf("left: %s", out)
	}
	who := &person{answers: []string{"pass"}}
	cfg := usual()
	cfg.IdentityFiles, cfg.Private, cfg.Ask = []string{path}, p, who.ask
	if _, err := (&server{accept: []*key{k}}).login(t, cfg); err != nil {
		t.Error(err)
	}
}
