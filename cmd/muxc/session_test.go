package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

func TestExitStatusIsTheCommands(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	for _, code := range []int{0, 1, 4, 5, 44, 255} {
		h.run(h.muxc("box", fmt.Sprintf("exit %d", code)), nil).is(t, "", "", code)
	}
	h.run(h.muxc("box", "exit 300"), nil).is(t, "", "", 44)
	for _, sig := range []struct {
		name string
		n    int
	}{{"TERM", 15}, {"KILL", 9}, {"HUP", 1}} {
		h.run(h.muxc("box", "kill -"+sig.name+" $$"), nil).is(t, "",
			"muxc: box: the command was killed by signal "+sig.name+"\n", 128+sig.n)
	}
	h.run(h.muxc("-q", "box", "kill -TERM $$"), nil).is(t, "", "", 143)
}

func TestOutputsAreApartAndWhole(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.run(h.muxc("box", "echo out; echo err >&2; printf 'no end'"), nil).is(t, "out\nno end", "err\n", 0)
	h.run(h.sh(`$muxc box 'echo out; echo err >&2' 2>/dev/null`), nil).is(t, "out\n", "", 0)
	h.run(h.sh(`$muxc box 'echo out; echo err >&2' 2>&1 >/dev/null`), nil).is(t, "err\n", "", 0)
	h.run(h.sh(`$muxc box 'echo out; echo err >&2' >&-; echo $?`), nil).is(t, "0\n", "err\n", 0)
}

func TestStdin(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.run(h.muxc("box", "cat"), strings.NewReader("hello")).is(t, "hello", "", 0)
	h.run(h.muxc("box", "cat"), nil).is(t, "", "", 0) // /dev/null
	h.run(h.sh("$muxc box cat <<end\none\ntwo\nend"), nil).is(t, "one\ntwo\n", "", 0)
	h.run(h.sh(`$muxc box cat <&-`), nil).is(t, "", "", 0)
	h.run(h.sh(`printf 'a\nb\n' | while read x; do $muxc -n box "echo $x; cat"; done`), nil).is(t, "a\nb\n", "", 0)
	h.run(h.sh(`printf 'a\nb\n' | while read x; do $muxc -o StdinNull=yes box "echo $x; cat"; done`), nil).is(t, "a\nb\n", "", 0)
	h.run(h.muxc("box", "cat; sleep 2; echo late; cat"), strings.NewReader("x\n")).is(t, "x\nlate\n", "", 0)
}

// TestStdinIsLeftToTheNext: what a command did not take is still there for
// whoever reads the same input after it.
func TestStdinIsLeftToTheNext(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	const size = 16 << 20
	path := filepath.Join(h.dir, "input")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cmd  string
		most int // may be taken: our credit and the server's window of 2 MiB
	}{
		{"$muxc box true", 3 << 20},
		{"$muxc box sleep 1", 3 << 20},
		{"$muxc -p 1 box true 2>/dev/null", 0}, // no connection: nothing
		{"$muxc -n box true", 0},
	} {
		r := h.run(h.sh("("+tt.cmd+"; wc -c) <"+path), nil)
		left, err := strconv.Atoi(strings.TrimSpace(r.out))
		if err != nil || r.err != "" || size-left > tt.most {
			t.Errorf("%s took %d bytes of stdin, at most %d are right (%+v)", tt.cmd, size-left, tt.most, r)
		}
	}
}

func TestTwentyMegabytesBothWays(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	data := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	c, sum := h.muxc("box", "cat"), sha256.New()
	c.Stdout = sum
	if r := h.run(c, bytes.NewReader(data)); r.code != 0 || r.err != "" {
		t.Fatalf("%+v", r)
	}
	if want := sha256.Sum256(data); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("what came back is not what was sent")
	}
}

func TestShellTakesAScript(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	const script = "echo hi\nexit 3\n"
	h.run(h.muxc("-T", "box"), strings.NewReader(script)).is(t, "hi\n", "", 3)
	h.run(h.muxc("box"), strings.NewReader(script)).is(t, "hi\n",
		"Pseudo-terminal will not be allocated because stdin is not a terminal.\n", 3)
	h.run(h.muxc("-q", "box"), strings.NewReader(script)).is(t, "hi\n", "", 3)
}

// TestSubsystem asks sftp for its version by hand (SSH_FXP_INIT).
func TestSubsystem(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	c := h.muxc("-s", "box", "sftp")
	in, err := c.StdinPipe() // sftp-server does not answer what is followed by EOF
	if err != nil {
		t.Fatal(err)
	}
	p := h.start(c, c.Stdin)
	io.WriteString(in, "\x00\x00\x00\x05\x01\x00\x00\x00\x03")
	h.eventually("sftp answers", func() bool { return len(p.out.String()) > 4 })
	in.Close()
	if r := p.wait(); r.code != 0 || r.err != "" || r.out[4] != 2 { // SSH_FXP_VERSION
		t.Errorf("%+v", r)
	}
	h.run(h.muxc("-s", "box", "nosuch"), nil).fails(t, `box: .*no subsystem "nosuch"`)
	h.echo()
}

// TestStockSFTP: sftp and scp take muxc for ssh.
func TestStockSFTP(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	from, to := filepath.Join(h.dir, "from"), filepath.Join(h.dir, "to")
	if err := os.WriteFile(from, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	sshtest.Require(t, "sftp", "scp")
	batch := strings.NewReader("put " + from + " " + to + "\n")
	if r := h.run(h.command("sftp", "-q", "-S", bin+"/muxc", "-F", h.cfg, "-b", "-", "box"), batch); r.code != 0 || read(t, to) != "data" {
		t.Errorf("sftp: %+v", r)
	}
	if r := h.run(h.command("scp", "-q", "-S", bin+"/muxc", "-F", h.cfg, "box:"+from, to+"2"), nil); r.code != 0 || read(t, to+"2") != "data" {
		t.Errorf("scp: %+v", r)
	}
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestReaderGoesAway: the command is told that nobody reads, as in a local
// pipe, and leaves nothing behind.
func TestReaderGoesAway(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	r := h.run(h.sh(`$muxc box 'echo $$; exec yes' | head -1`), nil)
	pid, err := strconv.Atoi(strings.TrimSpace(r.out))
	if err != nil || r.err != "" || r.code != 0 || r.took > 5*time.Second+soon {
		t.Fatalf("%+v", r)
	}
	h.eventually("yes ends", func() bool { return syscall.Kill(pid, 0) != nil })
	h.echo()
}

func TestBackgroundProcessHoldsStdout(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.run(h.muxc("box", "(sleep 1; echo late) & echo now"), nil).is(t, "now\nlate\n", "", 0)
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	const show = `echo "$MUXTEST_A/$MUXTEST_B/$OTHER"`
	h.setenv("MUXTEST_A", "of the client")
	h.setenv("OTHER", "x")
	h.run(h.muxc("box", show), nil).is(t, "//\n", "", 0)
	h.run(h.muxc("-o", "SendEnv=MUXTEST_* OTHER", "box", show), nil).is(t, "of the client//\n", "", 0)
	h.run(h.muxc("-o", "SetEnv=MUXTEST_B=\"set here\" OTHER=y", "box", show), nil).is(t, "/set here/\n", "", 0)
	// Not what muxd had in its environment when it was started.
	h.setenv("MUXTEST_A", "of the second")
	h.run(h.muxc("-o", "SendEnv=MUXTEST_A", "box", show), nil).is(t, "of the second//\n", "", 0)
}

// TestStoppedClient: a client that is stopped in the middle of 50 MB loses
// nothing and holds up nobody.
func TestStoppedClient(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	const last = 6_900_000 // of seq: 50 MB
	c, sum := h.muxc("box", fmt.Sprintf("seq %d", last)), &hashing{Hash: sha256.New()}
	c.Stdout = sum
	p := h.start(c, nil)
	h.eventually("output flows", func() bool { return sum.bytes() > 5<<20 })
	p.signal(syscall.SIGSTOP)
	h.echo()
	time.Sleep(3 * time.Second) // the length of the stop is what is tested
	h.echo()
	p.signal(syscall.SIGCONT)
	if r := p.wait(); r.code != 0 || r.err != "" {
		t.Fatalf("%+v", r)
	}
	want := sha256.New()
	for i := 1; i <= last; i++ {
		want.Write(append(strconv.AppendInt(nil, int64(i), 10), '\n'))
	}
	if !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d bytes came, and not the ones that were sent", sum.bytes())
	}
}

func TestLongCommands(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	long := func(kib int) []string { // Linux takes at most 128 KiB in one argument
		return append([]string{"box", "echo"}, slices.Repeat([]string{strings.Repeat("x", 1023)}, kib)...)
	}
	if r := h.run(h.muxc(append(long(120), "| wc -c")...), nil); strings.TrimSpace(r.out) != strconv.Itoa(120<<10) || r.err != "" || r.code != 0 {
		t.Errorf("%+v", r)
	}
	// This one arrives, and a server on Linux has that same limit: what it says
	// is the command's.
	if r := h.run(h.muxc(long(200)...), nil); r.code == 255 || strings.Contains(r.err, "muxc:") || len(r.out)+len(r.err) == 0 {
		t.Errorf("%+v", r)
	}
	h.run(h.muxc(long(1024)...), nil).fails(t, `box: .*the command is 104\d{4} bytes long`)
	h.echo()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}
