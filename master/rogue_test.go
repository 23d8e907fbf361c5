package master

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/login"
	"muxd/internal/sshtest"
)

// rogues is a rig with a second host, "rogue", whose every connection an
// act serves; "host" is an honest server.
type rogues struct {
	*rig
	key   *sshtest.Key
	dials int
	acts  sync.WaitGroup
	heap  uint64
}

func withRogue(t *testing.T, does act, f func(t *testing.T, r *rogues)) {
	t.Helper()
	inBubble(t, sshtest.Options{}, func(t *testing.T, plain *rig) {
		r := &rogues{rig: plain, key: sshtest.NewKey()}
		r.write(".ssh/known_hosts", "host "+keyLine(r.srv.HostKey())+"rogue "+r.key.Line())
		r.through(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if !strings.HasPrefix(addr, "rogue:") {
				return r.srv.DialContext(ctx, network, addr)
			}
			r.dials++
			client, server := sshtest.Pipe()
			r.acts.Go(func() {
				w := sshtest.NewRogue(server, r.key)
				if does(w) == nil { // and it stays
					io.Copy(io.Discard, w.Conn)
				}
				w.Close()
			})
			return client, nil
		})
		r.run("host", "true")
		r.heap = heap()
		f(t, r)
		r.m.Close()
		r.acts.Wait()
	})
}

// heap is what is in use, of everybody in this process.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// roguesMost is what one hostile server may have muxd keep: a window of 2 MiB in
// packets of few bytes has 40 bytes of the library's for each of them. The pipes
// of the test hold 4 MiB in each direction.
const roguesMost = 64 << 20

// neighbour has an honest host's command run while the rogue is at it, and
// measures what it costs to have one.
func (r *rogues) neighbour() {
	r.t.Helper()
	began := time.Now()
	s := r.open("host", "echo", "on")
	if out, exit, err := finish(s); out != "on\n" || err != nil || exit.Code != 0 {
		r.t.Errorf("beside a rogue: %q, %+v, %v", out, exit, err)
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		r.t.Errorf("beside a rogue a command took %v", took)
	}
	if now := heap(); now > r.heap+roguesMost {
		r.t.Errorf("the rogue costs %d MiB", (now-r.heap)>>20)
	}
}

// told is an error as it is shown, which must be one line of letters.
func (r *rogues) told(err error) string {
	r.t.Helper()
	if err == nil {
		r.t.Error("no error")
		return ""
	}
	text := control.CleanLine(err.Error())
	if strings.ContainsAny(text, "\x1b\x07\u009b") || len(text) > 5000 {
		r.t.Errorf("told %q", text)
	}
	return text
}

const escapes = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202etxt.exe\r\nsecond line"

// act is what a rogue does on a connection; an error means that the client went.
type act func(w *sshtest.Rogue) error

// raw says what is no packet.
func raw(text string) act {
	return func(w *sshtest.Rogue) error { _, err := w.Conn.Write([]byte(text)); return err }
}

// packet says one packet.
func packet(number byte, fields ...any) act {
	return func(w *sshtest.Rogue) error { return w.Write(sshtest.Packet(number, fields...)) }
}

// endless does it for ever, a few at a time so that time passes.
func endless(pause time.Duration, few int, a act) act {
	return func(w *sshtest.Rogue) error {
		for {
			for range few {
				if err := a(w); err != nil {
					return err
				}
			}
			time.Sleep(pause)
		}
	}
}

// after does one thing after another.
func after(acts ...act) act {
	return func(w *sshtest.Rogue) (err error) {
		for _, a := range acts {
			if err = a(w); err != nil {
				break
			}
		}
		return err
	}
}

// comes waits for a packet of the client's.
func comes(number byte) act {
	return func(w *sshtest.Rogue) error { _, err := w.Expect(number); return err }
}

// proposes sends a KEXINIT.
func proposes(algorithms ...string) act {
	return func(w *sshtest.Rogue) error { return w.Write(w.KexInit(algorithms...)) }
}

// answersKeys sends our half of a key exchange.
func answersKeys(public, signature []byte) act {
	return func(w *sshtest.Rogue) error {
		return w.Write(sshtest.Packet(sshtest.MsgECDHReply, w.Key.PublicKey().Marshal(), public, signature))
	}
}

// hangsUp closes the connection.
func hangsUp(w *sshtest.Rogue) error { w.Close(); return net.ErrClosed }

var (
	versions = act(func(w *sshtest.Rogue) error { return w.Versions("SSH-2.0-x") })
	greets   = act((*sshtest.Rogue).Greet)
	serves   = after(greets, (*sshtest.Rogue).Service, comes(sshtest.MsgUserauth))
)

// roguesMessages are what a server does wrong before anybody is logged in, and
// what is said of it.
var roguesMessages = map[string]struct {
	act  act
	want string
}{
	// Before its version.
	"silence":            {after(), late},
	"a byte a second":    {endless(time.Second, 1, raw("S")), `the server did not begin SSH in time: it said "SSSSS`},
	"a line a second":    {endless(time.Second, 1, raw("wait\r\n")), `the server did not begin SSH in time: it said "wait wait `},
	"endless line":       {endless(time.Millisecond, 9, raw("SSSSSSSS")), `the peer is not an SSH server: it said "SSSSS`},
	"endless lines":      {endless(time.Millisecond, 9, raw("no\r\n")), `the peer is not an SSH server: it said "no no `},
	"refusal of escapes": {after(raw(escapes+"\r\n"), hangsUp), `the server refused the connection: "?]0;owned??[2J?31m?txt.exe second line"`},
	"version of escapes": {raw("SSH-2.0-" + escapes + "\r\n"), broke},

	// Before there are keys.
	"version, silence":   {raw("SSH-2.0-x\r\n"), late},
	"huge packet":        {raw("SSH-2.0-x\r\n\xff\xff\xff\xff\xff"), broke + "invalid packet length, packet too large"},
	"no packet":          {raw("SSH-2.0-x\r\n\x00\x00\x00\x00\x00"), broke + "invalid packet length, packet too small"},
	"padding alone":      {raw("SSH-2.0-x\r\n\x00\x00\x00\x0c\x0b" + strings.Repeat("x", 11)), broke},
	"a KEXINIT's number": {after(versions, packet(sshtest.MsgKexInit)), broke + "short read"},
	"nothing in common":  {after(versions, proposes("rot13")), "no common algorithm for key exchange"},
	"names of escapes":   {after(versions, proposes(escapes)), "no common algorithm for key exchange"},
	"many names":         {after(versions, proposes(strings.Repeat("a,", 100<<10))), "no common algorithm for key exchange"},
	"KEXINIT, silence":   {after(versions, proposes()), late},
	"endless KEXINITs":   {after(versions, endless(time.Millisecond, 9, proposes())), broke + "unexpected message type 20"},
	"NEWKEYS first":      {after(versions, packet(sshtest.MsgNewKeys)), broke + "got bogus newkeys message"},
	"logged in first":    {after(versions, packet(sshtest.MsgLoggedIn)), broke + "first packet should be msgKexInit"},
	"ignored, strictly":  {after(versions, proposes(), packet(sshtest.MsgIgnore, "")), broke + "unexpected message type 2"},
	"a point of no use":  {after(versions, proposes(), answersKeys(make([]byte, 32), nil)), broke + "peer's curve25519 public value is not valid"},
	"half a point":       {after(versions, proposes(), answersKeys(make([]byte, 16), nil)), broke + "peer's curve25519 public value has wrong length"},
	"a false signature":  {after(versions, proposes(), answersKeys(append(make([]byte, 31), 9), sshtest.Packet(0, "ssh-ed25519", make([]byte, 64))[1:])), broke + "signature did not verify"},

	// Before anybody is logged in.
	"no service":              {greets, late},
	"another service":         {after(greets, packet(6, escapes)), ""},
	"an answer's number":      {after(greets, packet(6)), broke},
	"empty payload":           {after(greets, func(w *sshtest.Rogue) error { return w.Write(nil) }), broke},
	"ignored for ever":        {after(greets, endless(time.Second, 9, packet(sshtest.MsgIgnore, make([]byte, 30000)))), late},
	"disconnect":              {after(greets, packet(sshtest.MsgDisconnect, uint32(11), escapes, "")), "disconnect, reason 11: \"\\x1b]0;owned"},
	"long disconnect":         {after(greets, packet(sshtest.MsgDisconnect, uint32(11), strings.Repeat(escapes, 5000), "")), "disconnect, reason 11: \"\\x1b]0;owned"},
	"extensions":              {after(greets, packet(7, uint32(1<<32-1), "a", "b")), broke + "parse error in message type 7"},
	"endless banners":         {after(serves, endless(time.Second, 3, packet(sshtest.MsgBanner, strings.Repeat(escapes, 5000), ""))), late},
	"endless lines of banner": {after(serves, endless(time.Second, 999, packet(sshtest.MsgBanner, "b", ""))), late},
	"a KEXINIT in the login":  {after(serves, proposes()), late},
	"methods of escapes":      {after(serves, packet(sshtest.MsgFailure, escapes, false)), "Permission denied (?]0;owned??[2J?31m?txt.exe second line)"},
	"endless successes":       {after(serves, endless(0, 1, after(packet(sshtest.MsgFailure, "publickey,keyboard-interactive,password", true), comes(sshtest.MsgUserauth)))), "the server counted too many attempts"},
	"endless questions":       {after(serves, packet(sshtest.MsgFailure, "keyboard-interactive", false), comes(sshtest.MsgUserauth), endless(0, 1, after(packet(sshtest.MsgInfoRequest, escapes, escapes, "", uint32(0)), comes(61)))), "the server does not stop asking questions"},
	"a billion questions":     {after(serves, packet(sshtest.MsgFailure, "keyboard-interactive", false), comes(sshtest.MsgUserauth), packet(sshtest.MsgInfoRequest, "", "", "", uint32(1<<32-1), "a", false)), ""},
	"an open":                 {after(serves, packet(sshtest.MsgOpen, "session", uint32(0), uint32(1), uint32(1<<15))), "Permission denied (the server named no way to log in)"},
}

const (
	late  = "the server did not finish the SSH handshake in time"
	broke = "rogue: " // in the words of the SSH library
)

// What a server does wrong before anybody is logged in ends in time, with one
// line that is true, and nobody else notices.
func TestRogueLogin(t *testing.T) {
	for name, c := range roguesMessages {
		t.Run(name, func(t *testing.T) {
			withRogue(t, c.act, func(t *testing.T, r *rogues) {
				began := time.Now()
				p := says("yes")
				text := r.told(r.beside(func() error {
					_, err := r.m.Session(context.Background(), r.request("rogue", "true"), p)
					return err
				}))
				if !strings.HasPrefix(text, "rogue: ") || !strings.Contains(text, c.want) {
					t.Errorf("told %q", text)
				}
				if took := time.Since(began); took > login.Timeout+time.Second {
					t.Errorf("it took %v", took)
				}
				if told := p.Told(); len(told) > mostSaid+5000 || strings.Contains(name, "lines") && strings.Count(told, "\n") > mostSaid/saidLeast+2 {
					t.Errorf("the person is told %d bytes in %d lines", len(told), strings.Count(told, "\n"))
				}
			})
		})
	}
}

// beside does something with the rogue, and until it ends looks at the neighbour
// again and again.
func (r *rogues) beside(do func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	pause := 2 * time.Second
	for {
		r.neighbour()
		select {
		case err := <-ended:
			r.neighbour()
			return err
		case <-time.After(pause):
			pause += pause / 2
		}
	}
}

func keyLine(k ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(k)) }
