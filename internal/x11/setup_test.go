package x11

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// Setups as clients send them, byte by byte from the protocol's text.
var (
	// big: "MIT-MAGIC-COOKIE-1" (18 bytes, 2 of padding) and 16 bytes.
	big = "42 00 000b 0000 0012 0010 0000" +
		"4d49542d4d414749432d434f4f4b49452d31 0000" +
		"000102030405060708090a0b0c0d0e0f"
	little = "6c 00 0b00 0000 1200 1000 0000" +
		"4d49542d4d414749432d434f4f4b49452d31 0000" +
		"000102030405060708090a0b0c0d0e0f"
	bare = "6c 00 0b00 0000 0000 0000 0000"
	odd  = "42 ff 000b 0001 0001 0003 abcd 78 000000 010203 00"
)

func raw(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

var cookie = Cookie{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func TestReadSetup(t *testing.T) {
	for _, c := range []struct {
		name, in, proto, data string
		matches               bool
	}{
		{"big-endian", big, magicCookie, string(cookie[:]), true},
		{"little-endian", little, magicCookie, string(cookie[:]), true},
		{"nothing shown", bare, "", "", false},
		{"odd lengths", odd, "x", "\x01\x02\x03", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := raw(c.in)
			// The bytes behind belong to the X server, however they arrive.
			for how, wrap := range map[string]func(io.Reader) io.Reader{
				"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader, "with the end": iotest.DataErrReader,
			} {
				rest := bytes.NewReader(append(bytes.Clone(in), "next"...))
				s, err := ReadSetup(wrap(struct{ io.Reader }{rest}))
				if err != nil {
					t.Fatal(how, err)
				}
				if s.Proto != c.proto || string(s.Data) != c.data || cookie.Matches(s) != c.matches {
					t.Errorf("%s: %q %x", how, s.Proto, s.Data)
				}
				if how != "with the end" && rest.Len() != len("next") {
					t.Errorf("%s: %d bytes are left", how, rest.Len())
				}
				if got := s.With(s.Proto, s.Data); !bytes.Equal(got, in) {
					t.Errorf("%s: %x", how, got)
				}
			}
			for n := range len(in) {
				if s, err := ReadSetup(bytes.NewReader(in[:n])); err == nil {
					t.Errorf("%d bytes are enough: %+v", n, s)
				}
			}
		})
	}
}

func TestReadSetupRefuses(t *testing.T) {
	for in, part := range map[string]string{
		"":                                    "says nothing",
		"42":                                  "says nothing",
		"47 45 54 20 2f 20 48 54 54 50 2f 31": "0x47", // GET / HTTP/1
		"62 00 000b 0000 0000 0000 0000":      "0x62",
		"42 00 000b 0000 0101 0000 0000":      "257 bytes",
		"6c 00 0b00 0000 0000 0110 0000":      "4097 bytes",
		"42 00 000b 0000 ffff ffff 0000":      "131070 bytes",
		"42 00 000b 0000 0012 0010 0000 4d49542d": "breaks off",
	} {
		if s, err := ReadSetup(bytes.NewReader(raw(in))); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %+v, %v", in, s, err)
		}
	}
}

// With speaks to the X server in the client's order, and pads.
func TestWith(t *testing.T) {
	for _, in := range []string{big, little} {
		s, err := ReadSetup(bytes.NewReader(raw(in)))
		if err != nil {
			t.Fatal(err)
		}
		b := s.With("XDM-AUTHORIZATION-1", []byte("secret"))
		if len(b) != headSize+20+8 || !bytes.Equal(b[:6], raw(in)[:6]) {
			t.Errorf("%x", b)
		}
		again, err := ReadSetup(bytes.NewReader(b))
		if err != nil || again.Proto != "XDM-AUTHORIZATION-1" || string(again.Data) != "secret" || again.order != s.order {
			t.Errorf("%+v, %v", again, err)
		}
		if cookie.Matches(again) {
			t.Error("what goes to the X server would come in")
		}
	}
}

func TestCookie(t *testing.T) {
	s, _ := ReadSetup(bytes.NewReader(raw(big)))
	for i := range cookie {
		for bit := range 8 {
			wrong := cookie
			wrong[i] ^= 1 << bit
			if wrong.Matches(s) {
				t.Fatalf("%x matches", wrong)
			}
		}
	}
	s.Data = s.Data[:15]
	if cookie.Matches(s) {
		t.Error("a part is enough")
	}
	s.Data = append(cookie[:], 0)
	if cookie.Matches(s) {
		t.Error("more matches")
	}
	s.Data, s.Proto = cookie[:], "XDM-AUTHORIZATION-1"
	if cookie.Matches(s) {
		t.Error("another way of authorization matches")
	}
	if a, b := NewFake(), NewFake(); a == b || a == (Cookie{}) {
		t.Error("not random")
	}
}

// RFC 4254 section 6.3.1.
func TestRequest(t *testing.T) {
	want := "00" + "00000012" + hex.EncodeToString([]byte("MIT-MAGIC-COOKIE-1")) +
		"00000020" + hex.EncodeToString([]byte("000102030405060708090a0b0c0d0e0f")) + "00000003"
	if got := hex.EncodeToString(cookie.Request(3)); got != want {
		t.Errorf("%s\n%s", got, want)
	}
}

func TestRefusal(t *testing.T) {
	for _, in := range []string{big, little} {
		s, _ := ReadSetup(bytes.NewReader(raw(in)))
		for _, reason := range []string{"", "no", "four", strings.Repeat("x", 300)} {
			b := s.Refusal(reason)
			n := min(len(reason), 255)
			if b[0] != 0 || int(b[1]) != n || !bytes.Equal(b[2:6], raw(in)[2:6]) ||
				int(s.order.Uint16(b[6:]))*4 != len(b)-8 || string(b[8:8+n]) != reason[:n] || len(b) != 8+padded(n) {
				t.Errorf("%x", b)
			}
		}
	}
}

func FuzzReadSetup(f *testing.F) {
	for _, s := range []string{big, little, bare, odd} {
		f.Add(raw(s), 1)
		f.Add(append(raw(s), "behind"...), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		rest := bytes.NewReader(in)
		s, err := ReadSetup(&chunks{rest, 1 + step&15})
		if err != nil {
			return
		}
		used := headSize + padded(len(s.Proto)) + padded(len(s.Data))
		if len(in)-rest.Len() != used || len(s.Proto) > maxProto || len(s.Data) > maxData {
			t.Fatalf("%d bytes used of %d: %+v", len(in)-rest.Len(), len(in), s)
		}
		b := s.With(s.Proto, s.Data)
		again, err := ReadSetup(bytes.NewReader(b))
		if err != nil || len(b) != used || again.Proto != s.Proto || !bytes.Equal(again.Data, s.Data) || again.head != s.head {
			t.Fatalf("%x, %v", b, err)
		}
		if big := in[0] == 'B'; big != (s.order == binary.ByteOrder(binary.BigEndian)) {
			t.Fatal("the order is lost")
		}
	})
}

// chunks delivers at most n bytes at once.
type chunks struct {
	r io.Reader
	n int
}

func (c *chunks) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }
