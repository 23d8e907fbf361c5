package x11

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// xauthScript answers the calls of a test in order and records them.
type xauthScript struct {
	answers []xauthAnswer
	calls   [][]string
}

type xauthAnswer struct {
	out string
	err error
}

func (x *xauthScript) run(_ context.Context, args []string) ([]byte, error) {
	x.calls = append(x.calls, args)
	if len(x.answers) == 0 {
		return nil, errors.New("not expected")
	}
	a := x.answers[0]
	x.answers = x.answers[1:]
	return []byte(a.out), a.err
}

const hexCookie = "00112233445566778899aabbccddeeff"

var entry = "box/unix:0  MIT-MAGIC-COOKIE-1  " + hexCookie + "\n"

var errStatus = errors.New("exit status 1")

func TestCredentialsTrusted(t *testing.T) {
	real := Auth{magicCookie, raw(hexCookie)}
	for _, c := range []struct {
		name, display string
		answer        xauthAnswer
		args          []string
		want          Auth // zero: a random cookie and a warning
	}{
		{"listed", ":0", xauthAnswer{entry, nil}, []string{"list", ":0"}, real},
		{"localhost is this machine", "localhost:10.0", xauthAnswer{entry, nil}, []string{"list", "unix:10.0"}, real},
		{"another host", "box:10.0", xauthAnswer{entry, nil}, []string{"list", "box:10.0"}, real},
		{"printed, then failed", ":0", xauthAnswer{entry, errStatus}, []string{"list", ":0"}, real},
		{"no xauth", ":0", xauthAnswer{"", os.ErrNotExist}, []string{"list", ":0"}, Auth{}},
		{"nothing listed", ":0", xauthAnswer{}, []string{"list", ":0"}, Auth{}},
		{"garbage", ":0", xauthAnswer{"xauth: file /root/.Xauthority does not exist\n", nil}, []string{"list", ":0"}, Auth{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &xauthScript{answers: []xauthAnswer{c.answer}}
			a, warning, err := Credentials(t.Context(), x.run, "/opt/x auth", c.display, true, time.Minute, nil)
			if err != nil || len(x.calls) != 1 || !slices.Equal(x.calls[0], append([]string{"/opt/x auth"}, c.args...)) {
				t.Fatalf("%q, %v", x.calls, err)
			}
			if c.want.Proto != "" {
				if a.Proto != c.want.Proto || !bytes.Equal(a.Data, c.want.Data) || warning != "" {
					t.Errorf("%+v, %q", a, warning)
				}
				return
			}
			if a.Proto != magicCookie || len(a.Data) != 16 || bytes.Equal(a.Data, make([]byte, 16)) || warning != noData {
				t.Errorf("%+v, %q", a, warning)
			}
		})
	}
}

func TestCredentialsUntrusted(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		answers []xauthAnswer
		extra   []string // after "untrusted"
		calls   int
		fails   string
	}{
		{"made", 20 * time.Minute, []xauthAnswer{{}, {entry, nil}}, []string{"timeout", "1260"}, 2, ""},
		{"without end", 0, []xauthAnswer{{}, {entry, nil}}, nil, 2, ""},
		{"a part of a second", 1500 * time.Millisecond, []xauthAnswer{{}, {entry, nil}}, []string{"timeout", "62"}, 2, ""},
		{"a century and a half", maxTimeout + time.Hour, []xauthAnswer{{}, {entry, nil}}, []string{"timeout", "4294967295"}, 2, ""},
		{"no xauth", time.Minute, []xauthAnswer{{"", os.ErrNotExist}}, []string{"timeout", "120"}, 1, "does not exist"},
		{"not made", time.Minute, []xauthAnswer{{entry, errStatus}}, []string{"timeout", "120"}, 1, "exit status 1"},
		{"made and not listed", time.Minute, []xauthAnswer{{}, {}}, []string{"timeout", "120"}, 2, "not generated"},
		{"made and garbled", time.Minute, []xauthAnswer{{}, {"a b c\n", errStatus}}, []string{"timeout", "120"}, 2, "not generated: exit status 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &xauthScript{answers: c.answers}
			removed := 0
			dir := func() (string, func(), error) { return "/tmp/ours", func() { removed++ }, nil }
			a, warning, err := Credentials(t.Context(), x.run, "xauth", "localhost:1.0", false, c.timeout, dir)
			if removed != 1 || len(x.calls) != c.calls || warning != "" {
				t.Errorf("%d removed, %q, %q", removed, x.calls, warning)
			}
			want := append([]string{"xauth", "-f", "/tmp/ours/xauthfile", "generate", "unix:1.0", magicCookie, "untrusted"}, c.extra...)
			if !slices.Equal(x.calls[0], want) {
				t.Errorf("%q", x.calls[0])
			}
			if c.calls == 2 && !slices.Equal(x.calls[1], []string{"xauth", "-f", "/tmp/ours/xauthfile", "list", "unix:1.0"}) {
				t.Errorf("%q", x.calls[1])
			}
			if c.fails == "" && (err != nil || hex.EncodeToString(a.Data) != hexCookie) {
				t.Errorf("%+v, %v", a, err)
			}
			// Never the other credential, which would allow everything.
			if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails) || a.Proto != "" || a.Data != nil) {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

func TestCredentialsAskNobodyAboutABadDisplay(t *testing.T) {
	for _, display := range []string{"", ":0;id", "$(id):0", "-f:0"} {
		x := &xauthScript{}
		if _, _, err := Credentials(t.Context(), x.run, "xauth", display, true, 0, nil); err == nil || len(x.calls) > 0 {
			t.Errorf("%q: %v, %q", display, err, x.calls)
		}
	}
	x := &xauthScript{}
	dir := func() (string, func(), error) { return "", nil, os.ErrPermission }
	if _, _, err := Credentials(t.Context(), x.run, "xauth", ":0", false, 0, dir); !errors.Is(err, os.ErrPermission) || len(x.calls) > 0 {
		t.Error(err)
	}
}

// A client that went has no xauth; that is no reason for a random cookie.
func TestCredentialsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	run := func(context.Context, []string) ([]byte, error) { cancel(); return nil, ctx.Err() }
	if a, w, err := Credentials(ctx, run, "xauth", ":0", true, 0, nil); !errors.Is(err, context.Canceled) {
		t.Error(a, w, err)
	}
}

func TestParseList(t *testing.T) {
	long := strings.Repeat("ab", maxData)
	for _, c := range []struct{ in, proto, data string }{
		{entry, magicCookie, hexCookie},
		{strings.TrimSpace(entry), magicCookie, hexCookie},
		{"d XDM-AUTHORIZATION-1 0102\n", "XDM-AUTHORIZATION-1", "0102"},
		{"d XDM-AUTHORIZATION-1 0102\n" + entry, magicCookie, hexCookie},
		{"noise\n\n" + entry, magicCookie, hexCookie},
		{"d MIT-MAGIC-COOKIE-1 AABB\r\n", magicCookie, "aabb"},
		{"d X " + long, "X", long},
		{"d X " + long + "00", "", ""},
		{"d MIT-MAGIC-COOKIE-1 abc", "", ""},
		{"d MIT-MAGIC-COOKIE-1 zz", "", ""},
		{"d MIT-MAGIC-COOKIE-1", "", ""},
		{"d MIT-MAGIC-COOKIE-1 00 00", "", ""},
		{"d MIT\x1b[2J 00", "", ""},
		{"d X$ 00", "", ""},
		{"d " + strings.Repeat("x", maxProto+1) + " 00", "", ""},
		{"", "", ""},
	} {
		a, ok := parseList([]byte(c.in))
		if ok != (c.proto != "") || a.Proto != c.proto || hex.EncodeToString(a.Data) != c.data {
			t.Errorf("%.60q: %+v %t", c.in, a.Proto, ok)
		}
	}
}

// TestRealXauth has the program itself write and list.
func TestRealXauth(t *testing.T) {
	sshtest.Require(t, "xauth")
	path, _ := exec.LookPath("xauth")
	file := filepath.Join(t.TempDir(), "authority")
	run := func(ctx context.Context, args []string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "XAUTHORITY="+file)
		return cmd.Output()
	}
	for _, display := range []string{":4711", "192.0.2.1:17"} {
		if _, err := run(t.Context(), []string{path, "add", display, ".", hexCookie}); err != nil {
			t.Fatal(err)
		}
	}
	for _, display := range []string{":4711", "unix:4711.0", "localhost:4711.0", "192.0.2.1:17.0"} {
		a, warning, err := Credentials(t.Context(), run, path, display, true, 0, nil)
		if hex.EncodeToString(a.Data) != hexCookie || warning != "" || err != nil {
			t.Errorf("%s: %+v, %q, %v", display, a, warning, err)
		}
	}
	if a, warning, err := Credentials(t.Context(), run, path, ":4712", true, 0, nil); warning != noData || err != nil {
		t.Errorf("%+v, %q, %v", a, warning, err)
	}
	// There is no X server that could make a credential.
	dir := func() (string, func(), error) { d := t.TempDir(); return d, func() {}, nil }
	if a, _, err := Credentials(t.Context(), run, path, ":4711", false, time.Minute, dir); !errors.Is(err, errUntrusted) {
		t.Errorf("%+v, %v", a, err)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte(entry))
	f.Add([]byte("d XDM-AUTHORIZATION-1 0102\nx"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, ok := parseList(in)
		if ok != (a.Proto != "") || ok && (len(a.Data) == 0 || len(a.Data) > maxData || len(a.Proto) > maxProto || !name(a.Proto)) {
			t.Errorf("%q: %+v %t", in, a, ok)
		}
	})
}
