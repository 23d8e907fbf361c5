package knownhosts

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// serialCert is a certificate by ca with a serial and a key id.
func serialCert(t testing.TB, ca, host ssh.Signer, serial uint64, id string) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, Serial: serial, KeyId: id,
		ValidPrincipals: []string{"h"}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKRLAgreesWithSSHKeygen makes lists by ssh-keygen -k and asks both who is
// on them.
func TestKRLAgreesWithSSHKeygen(t *testing.T) {
	keygen := sshtest.Program(t, "ssh-keygen")
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, ca2, host, other, ec := newEd(t), newEd(t), newEd(t), newEd(t), newEC(t)
	line := func(k ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(k)) }
	caFile := write("ca.pub", line(ca.PublicKey()))

	candidates := map[string]ssh.PublicKey{"host": host.PublicKey(), "other": other.PublicKey(), "ec": ec.PublicKey(), "ca": ca.PublicKey()}
	for _, serial := range []uint64{0, 1, 2, 3, 9, 10, 11, 20, 63, 64, 65, 1000, 1001, 1007, 1 << 40, 1<<64 - 1} {
		candidates[fmt.Sprint("serial ", serial)] = serialCert(t, ca, other, serial, "x")
		candidates[fmt.Sprint("serial of the second authority ", serial)] = serialCert(t, ca2, other, serial, "x")
	}
	candidates["by id"] = serialCert(t, ca, other, 500, "bad one")
	candidates["by id of the second authority"] = serialCert(t, ca2, other, 500, "bad one")
	candidates["of a revoked key"] = serialCert(t, ca2, host, 501, "x")
	files := map[string]string{}
	for name, k := range candidates {
		files[name] = write(strings.ReplaceAll(name, " ", "_")+".pub", line(k))
	}

	scattered := ""
	for n := 1000; n < 1400; n += 7 { // dense enough for a bitmap
		scattered += fmt.Sprintf("serial: %d\n", n)
	}
	for name, spec := range map[string]string{
		"empty":          "",
		"one serial":     "serial: 1\n",
		"last serial":    "serial: 18446744073709551615\n",
		"range":          "serial: 3-10\n",
		"list":           "serial: 1\nserial: 1099511627776\nserial: 20\n",
		"bitmap":         scattered,
		"wide":           "serial: 63-65\nserial: 2\n" + scattered + "serial: 5000-99999999999\n",
		"key id":         "id: bad one\n",
		"explicit":       "key: " + line(host.PublicKey()),
		"explicit by ec": "key: " + line(ec.PublicKey()),
		"sha1":           "sha1: " + line(host.PublicKey()),
		"sha256":         "sha256: " + line(host.PublicKey()),
		"hash":           "hash: " + ssh.FingerprintSHA256(host.PublicKey()) + "\n",
		"authority":      "key: " + line(ca.PublicKey()),
		"everything": "serial: 2-9\nid: bad one\nsha1: " + line(ec.PublicKey()) + "sha256: " + line(host.PublicKey()) +
			"key: " + line(other.PublicKey()),
	} {
		for _, wildcard := range []bool{false, true} {
			if wildcard && (strings.HasPrefix(spec, "serial") || strings.HasPrefix(spec, "id")) {
				continue // a certificate is named by its authority
			}
			t.Run(fmt.Sprintf("%s, wildcard %v", name, wildcard), func(t *testing.T) {
				list := filepath.Join(dir, "krl")
				args := []string{"-q", "-k", "-f", list}
				if !wildcard {
					args = append(args, "-s", caFile)
				}
				if out, err := exec.Command(keygen, append(args, write("spec", spec))...).CombinedOutput(); err != nil {
					t.Skipf("this ssh-keygen cannot: %s", out)
				}
				data, err := os.ReadFile(list)
				if err != nil {
					t.Fatal(err)
				}
				k, err := parseKRL(data)
				if err != nil {
					t.Fatal(err)
				}
				args = append([]string{"-Q", "-f", list}, slices.Collect(maps.Values(files))...)
				out, _ := exec.Command(keygen, args...).CombinedOutput() // exit 1: one is revoked
				for who, file := range files {
					_, after, ok := strings.Cut(string(out), file+" ")
					verdict, _, _ := strings.Cut(after, "\n")
					want := strings.HasSuffix(verdict, "REVOKED")
					if !ok || !want && !strings.HasSuffix(verdict, "ok") {
						t.Fatalf("ssh-keygen says of %s: %q", who, out)
					}
					if k.revokes(candidates[who]) != want {
						t.Errorf("%s: revoked %v, ssh-keygen says %q", who, !want, verdict)
					}
				}
			})
		}
	}
}

// Pieces of a list, for those that ssh-keygen does not write.
func krlHeader() []byte {
	b := append([]byte(krlMagic), 0, 0, 0, krlVersion)
	b = append(b, make([]byte, 24)...)
	return append(append(b, krlString("")...), krlString("comment")...)
}

func krlString(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func krlSection(kind byte, parts ...[]byte) []byte {
	return append([]byte{kind}, krlString(string(bytes.Join(parts, nil)))...)
}

func krlNumber(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func TestKRLIsRefusedWhole(t *testing.T) {
	host := newEd(t).PublicKey()
	good := krlSection(krlExplicitKey, krlString(string(host.Marshal())))
	certs := func(sub ...[]byte) []byte {
		return krlSection(krlCertificates, krlString(""), krlString(""), bytes.Join(sub, nil))
	}
	ext := func(critical byte, rest ...[]byte) []byte {
		return bytes.Join(append([][]byte{krlString("x@y"), {critical}, krlString("")}, rest...), nil)
	}
	for _, tt := range []struct {
		name string
		part []byte
		want string // of the error; "" for none
	}{
		{"nothing more", nil, ""},
		{"optional extension", krlSection(krlExtension, ext(0)), ""},
		{"critical extension", krlSection(krlExtension, ext(1)), "critical extension \"x@y\""},
		{"extension with a tail", krlSection(krlExtension, ext(0, []byte{1})), "behind its end"},
		{"optional certificate extension", certs(krlSection(krlCertExtension, ext(0))), ""},
		{"critical certificate extension", certs(krlSection(krlCertExtension, ext(1))), "critical"},
		{"signature", append(krlSection(krlSignature, []byte("key")), krlString("signature")...), ""},
		{"signature without its second half", krlSection(krlSignature, []byte("key")), "cut off"},
		{"unknown section", krlSection(77), "unknown section 77"},
		{"unknown certificate section", certs(krlSection(0x77)), "unknown section 0x77"},
		{"cut off", []byte{krlExplicitKey, 0, 0}, "cut off"},
		{"longer than the file", []byte{krlExplicitKey, 255, 255, 255, 255, 1}, "cut off"},
		{"half a key", krlSection(krlExplicitKey, []byte{0, 0, 0, 9, 1}), "cut off"},
		{"short fingerprint", krlSection(krlSHA256, krlString("short")), "wrong length"},
		{"serial 0", certs(krlSection(krlSerialList, krlNumber(0))), "impossible range"},
		{"range backwards", certs(krlSection(krlSerialRange, krlNumber(2), krlNumber(1))), "impossible range"},
		{"half a serial", certs(krlSection(krlSerialList, []byte{1, 2})), "cut off"},
		{"range with a tail", certs(krlSection(krlSerialRange, krlNumber(1), krlNumber(2), krlNumber(3))), "behind its end"},
		{"bitmap", certs(krlSection(krlSerialBitmap, krlNumber(1), krlString("\x01"))), ""},
		{"negative bitmap", certs(krlSection(krlSerialBitmap, krlNumber(1), krlString("\x80"))), "impossible bitmap"},
		{"bitmap too long", certs(krlSection(krlSerialBitmap, krlNumber(1), krlString("\x01"+strings.Repeat("\x00", 2048)))), "impossible bitmap"},
		{"bitmap beyond the end", certs(krlSection(krlSerialBitmap, krlNumber(1<<64-1), krlString("\x02"))), "beyond"},
		{"zero in a key id", certs(krlSection(krlKeyID, krlString("a\x00b"))), "zero"},
	} {
		k, err := parseKRL(append(append(krlHeader(), good...), tt.part...))
		if tt.want == "" && (err != nil || !k.revokes(host)) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	bad := krlHeader()
	bad[11] = 2
	if _, err := parseKRL(bad); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("version 2: %v", err)
	}
}

func TestKRLBitmap(t *testing.T) {
	ca, host := newEd(t), newEd(t)
	sub := krlSection(krlSerialBitmap, krlNumber(100), krlString("\x00\x81\x02"))
	k, err := parseKRL(append(krlHeader(), krlSection(krlCertificates, krlString(""), krlString(""), sub)...))
	if err != nil {
		t.Fatal(err)
	}
	for serial := uint64(98); serial < 120; serial++ {
		want := serial == 101 || serial == 108 || serial == 115
		if got := k.revokes(serialCert(t, ca, host, serial, "")); got != want {
			t.Errorf("serial %d: %v", serial, got)
		}
	}
}

func TestRevoking(t *testing.T) {
	a, b := newEd(t), newEd(t)
	cert := serialCert(t, a, b, 1, "")
	key := a.PublicKey()
	good := writeFile(t, "# comment\n\n  "+formatKey(b.PublicKey())+" who\n")
	future := base64.StdEncoding.EncodeToString(append(krlString("ssh-future"), 1, 2, 3))
	list := writeFile(t, "ssh-future "+future+"\n"+formatKey(key)+"\n")
	krlFile := writeFile(t, string(append(krlHeader(), krlSection(krlExplicitKey, krlString(string(key.Marshal())))...)))
	for _, tt := range []struct {
		name  string
		files []string
		key   ssh.PublicKey
		want  string
		err   string
	}{
		{"no file", nil, key, "", ""},
		{"not listed", []string{good}, key, "", ""},
		{"listed in the second", []string{good, list}, key, list, ""},
		{"list and KRL", []string{good, krlFile}, key, krlFile, ""},
		{"authority of a certificate", []string{list}, cert, list, ""},
		{"key of a certificate", []string{good}, cert, good, ""},
		{"missing", []string{good, good + "-none"}, key, "", "no such file"},
		{"garbage", []string{writeFile(t, formatKey(b.PublicKey())+"\ngarbage\n")}, key, "", "line 2: "},
		{"damaged key", []string{writeFile(t, formatKey(b.PublicKey())[:40]+"\n")}, key, "", "line 1: "},
		{"options", []string{writeFile(t, "no-pty "+formatKey(key)+"\n")}, key, "", "line 1: "},
		{"damaged KRL", []string{writeFile(t, krlMagic)}, key, "", "cut off"},
	} {
		got, err := Revoking(tt.files, tt.key)
		if got != tt.want || (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func FuzzKRL(f *testing.F) {
	host := newEd(f).PublicKey()
	cert := serialCert(f, newEd(f), newEd(f), 7, "id")
	f.Add(krlHeader())
	f.Add(append(krlHeader(), krlSection(krlExplicitKey, krlString(string(host.Marshal())))...))
	f.Add(append(krlHeader(), krlSection(krlCertificates, krlString(""), krlString(""),
		krlSection(krlSerialBitmap, krlNumber(1), krlString("\x01\x02\x03")), krlSection(krlSerialList, krlNumber(7)),
		krlSection(krlSerialRange, krlNumber(1), krlNumber(1<<63)), krlSection(krlKeyID, krlString("id")))...))
	f.Add(append(krlHeader(), krlSection(krlSHA1, krlString(strings.Repeat("x", 20)))...))
	f.Add([]byte(formatKey(host) + "\n"))
	f.Add([]byte("# list\nssh-rsa AAAA"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, k := range []ssh.PublicKey{host, cert} {
			if found, err := revokedIn(data, k); found && err != nil {
				t.Errorf("revoked and %v", err)
			}
		}
	})
}
