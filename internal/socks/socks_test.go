package socks

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// stream is a client that sent all it has to say.
type stream struct {
	io.Reader
	answers bytes.Buffer
}

func (s *stream) Write(b []byte) (int, error) { return s.answers.Write(b) }

var long = strings.Repeat("n", 255)

var handshakes = []struct {
	name    string
	in      string
	host    string
	port    int
	answers string // in hexadecimal
	err     string // contained; "" succeeds
}{
	{"4", "\x04\x01\x00\x50\x7f\x00\x00\x01me\x00", "127.0.0.1", 80, "", ""},
	{"4 without a user", "\x04\x01\xff\xff\x0a\x00\x00\x02\x00", "10.0.0.2", 65535, "", ""},
	{"4, the address 0.0.0.0 is one", "\x04\x01\x00\x50\x00\x00\x00\x00\x00", "0.0.0.0", 80, "", ""},
	{"4a", "\x04\x01\x00\x16\x00\x00\x00\x01me\x00inner.example\x00", "inner.example", 22, "", ""},
	{"4a, 255 long", "\x04\x01\x00\x16\x00\x00\x00\xff\x00" + long + "\x00", long, 22, "", ""},
	{"4a, 256 long", "\x04\x01\x00\x16\x00\x00\x00\xff\x00" + long + "n\x00", "", 0, "", "more than 255 bytes"},
	{"4a, no name", "\x04\x01\x00\x16\x00\x00\x00\xff\x00\x00", "", 0, "005b000000000000", "named no host"},
	{"4, user of 256", "\x04\x01\x00\x16\x0a\x00\x00\x01" + long + "n\x00", "", 0, "", "more than 255 bytes"},
	{"4, user of 255", "\x04\x01\x00\x16\x0a\x00\x00\x01" + long + "\x00", "10.0.0.1", 22, "", ""},
	{"4 bind", "\x04\x02\x00\x16\x0a\x00\x00\x01\x00", "", 0, "005b000000000000", "asked for BIND"},
	{"4 control character", "\x04\x01\x00\x16\x00\x00\x00\xff\x00a\nb\x00", "", 0, "005b000000000000", "byte 0x0a"},
	{"5 IPv4", "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", "127.0.0.1", 80, "0500", ""},
	{"5 IPv6", "\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50", "2001:db8::1", 80, "0500", ""},
	{"5 name", "\x05\x02\x02\x00\x05\x01\x00\x03\x05inner\x01\xbb", "inner", 443, "0500", ""},
	{"5 name of 255", "\x05\x01\x00\x05\x01\x00\x03\xff" + long + "\x01\xbb", long, 443, "0500", ""},
	{"5 255 methods", "\x05\xff\x00" + strings.Repeat("\x02", 254) + "\x05\x01\x00\x03\x01x\x01\xbb", "x", 443, "0500", ""},
	{"5 UTF-8", "\x05\x01\x00\x05\x01\x00\x03\x07b\xc3\xbccher\x01\xbb", "b\xc3\xbccher", 443, "0500", ""},
	{"5 empty name", "\x05\x01\x00\x05\x01\x00\x03\x00\x01\xbb", "", 0, "0500" + "05010001000000000000", "named no host"},
	{"5 NUL in the name", "\x05\x01\x00\x05\x01\x00\x03\x03a\x00b\x01\xbb", "", 0, "0500" + "05010001000000000000", "byte 0x00"},
	{"5 bind", "\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", "", 0, "0500" + "05070001000000000000", "asked for BIND"},
	{"5 UDP", "\x05\x01\x00\x05\x03\x00\x01\x7f\x00\x00\x01\x00\x50", "", 0, "0500" + "05070001000000000000", "UDP ASSOCIATE"},
	{"5 command 9", "\x05\x01\x00\x05\x09\x00\x01\x7f\x00\x00\x01\x00\x50", "", 0, "0500" + "05070001000000000000", "command 9"},
	{"5 address type", "\x05\x01\x00\x05\x01\x00\x02", "", 0, "0500" + "05080001000000000000", "address type 2"},
	{"5 no methods", "\x05\x00", "", 0, "05ff", "insists on authentication"},
	{"5 password only", "\x05\x01\x02", "", 0, "05ff", "insists on authentication"},
	{"5 request of another version", "\x05\x01\x00\x04\x01\x00\x01", "", 0, "0500" + "05010001000000000000", "request of version 4"},
	{"HTTP", "G", "", 0, "", "version 71"},
	{"nothing", "", "", 0, "", "EOF"},
}

// TestHandshake delivers each client's words at once, byte by byte, and with
// more behind them, which must stay unread.
func TestHandshake(t *testing.T) {
	const payload = "\x00\x05\x04payload that was sent ahead"
	for _, c := range handshakes {
		t.Run(c.name, func(t *testing.T) {
			for _, deliver := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
			} {
				behind := strings.NewReader(c.in + payload)
				s := &stream{Reader: deliver(behind)}
				if c.name == "nothing" {
					s.Reader = strings.NewReader("")
				}
				r, err := Handshake(s)
				if got := hex.EncodeToString(s.answers.Bytes()); got != c.answers {
					t.Errorf("answered %s, want %s", got, c.answers)
				}
				if c.err != "" {
					if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "\n") {
						t.Errorf("error %v, want one line with %q", err, c.err)
					}
					continue
				}
				if err != nil || r.Host != c.host || r.Port != c.port {
					t.Errorf("%+v, %v; want %s %d", r, err, c.host, c.port)
				}
			}
		})
	}
}

// TestNothingIsReadBehind counts what is left, on a reader that gives all that
// is asked of it.
func TestNothingIsReadBehind(t *testing.T) {
	for _, c := range handshakes {
		if c.err != "" {
			continue
		}
		rest := strings.NewReader(c.in + "payload")
		if _, err := Handshake(&stream{Reader: rest}); err != nil {
			t.Fatal(c.name, err)
		}
		if b, _ := io.ReadAll(rest); string(b) != "payload" {
			t.Errorf("%s: %q is left of the payload", c.name, b)
		}
	}
}

// TestTruncated cuts every handshake that succeeds at every byte.
func TestTruncated(t *testing.T) {
	for _, c := range handshakes {
		if c.err != "" {
			continue
		}
		for i := range c.in {
			want := io.ErrUnexpectedEOF
			if i == 0 {
				want = io.EOF
			}
			if r, err := Handshake(&stream{Reader: strings.NewReader(c.in[:i])}); !errors.Is(err, want) {
				t.Errorf("%s, cut at %d: %v, %v", c.name, i, r, err)
			}
		}
	}
}

func TestReply(t *testing.T) {
	for o, want := range map[Outcome][2]string{
		Granted:     {"005a000000000000", "05000001000000000000"},
		NotAllowed:  {"005b000000000000", "05020001000000000000"},
		Unreachable: {"005b000000000000", "05040001000000000000"},
		Refused:     {"005b000000000000", "05050001000000000000"},
		Failed:      {"005b000000000000", "05010001000000000000"},
	} {
		for i, version := range []byte{4, 5} {
			var b bytes.Buffer
			if err := (&Request{version: version}).Reply(&b, o); err != nil || hex.EncodeToString(b.Bytes()) != want[i] {
				t.Errorf("version %d, outcome %d: %x, %v", version, o, b.Bytes(), err)
			}
		}
	}
}

// TestDeaf has a client that takes no answer.
func TestDeaf(t *testing.T) {
	for in, want := range map[string]string{"\x05\x01\x00": "closed pipe", "\x05\x00": "insists", "\x04\x02\x00\x16\x0a\x00\x00\x01\x00": "BIND"} {
		_, err := Handshake(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(in), deaf{}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzHandshake(f *testing.F) {
	for _, c := range handshakes {
		f.Add([]byte(c.in + "payload"))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		rest := bytes.NewReader(in)
		s := &stream{Reader: rest}
		r, err := Handshake(s)
		if read := len(in) - rest.Len(); read > 520 {
			t.Fatalf("read %d bytes", read)
		}
		if n := s.answers.Len(); n > 12 {
			t.Fatalf("answered %d bytes", n)
		}
		if (r == nil) == (err == nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if r == nil {
			return
		}
		if len(r.Host) == 0 || len(r.Host) > 255 || r.Port < 0 || r.Port > 65535 || strings.ContainsAny(r.Host, " \x00\n\r\x1b") {
			t.Fatalf("%+v", r)
		}
	})
}
