package forward

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/internal/sshtest"
)

func haveIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// TestListenTCP connects from each loopback address to what listens where.
func TestListenTCP(t *testing.T) {
	sshtest.Require(t, "ipv6")
	for _, c := range []struct{ host, network, from string }{
		{"localhost", "", "4 6"}, {"localhost", "tcp", "4 6"}, {"localhost", "tcp4", "4"}, {"localhost", "tcp6", "6"},
		{"*", "", "4 6"}, {"*", "tcp4", "4"}, {"*", "tcp6", "6"}, {"", "tcp", "4 6"},
		{"127.0.0.1", "", "4"}, {"127.0.0.1", "tcp4", "4"}, {"::1", "", "6"}, {"::1", "tcp6", "6"}, {"::", "tcp", "4 6"}, {"0.0.0.0", "tcp4", "4"},
	} {
		port := freePort(t)
		all, err := listen(at(c.host, port), control.ForwardOptions{Network: c.network})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		for n, addr := range map[string]string{"4": "127.0.0.1", "6": "::1"} {
			nc, err := net.Dial("tcp", net.JoinHostPort(addr, strconv.Itoa(port)))
			if got, want := err == nil, strings.Contains(c.from, n); got != want {
				t.Errorf("%+v: IPv%s %v", c, n, err)
			}
			if err == nil {
				nc.Close()
			}
		}
		closeAll(all)
		again, err := listen(at(c.host, port), control.ForwardOptions{Network: c.network})
		if err != nil {
			t.Errorf("%+v: the port is not free at once: %v", c, err)
		}
		closeAll(again)
	}
}

// TestNoMultipath has plain TCP sockets, which is what all the world tests with.
func TestNoMultipath(t *testing.T) {
	all, err := listen(at("127.0.0.1", freePort(t)), control.ForwardOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(all)
	raw, _ := all[0].(*net.TCPListener).SyscallConn()
	raw.Control(func(fd uintptr) {
		if proto, err := socketProtocol(int(fd)); err == nil && proto != unix.IPPROTO_TCP {
			t.Errorf("protocol %d", proto)
		}
	})
}

// TestListenTCPErrors is what a person reads.
func TestListenTCPErrors(t *testing.T) {
	port := freePort(t)
	taken, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		at   control.Endpoint
		how  control.ForwardOptions
		want string
		is   error
	}{
		{at("127.0.0.1", port), control.ForwardOptions{}, fmt.Sprintf("listen on 127.0.0.1:%d: address already in use", port), syscall.EADDRINUSE},
		{at("localhost", port), control.ForwardOptions{Network: "tcp4"}, fmt.Sprintf("listen on 127.0.0.1:%d: address already in use", port), syscall.EADDRINUSE},
		{at("192.0.2.1", port), control.ForwardOptions{}, fmt.Sprintf("listen on 192.0.2.1:%d: cannot assign requested address (no interface has it)", port), syscall.EADDRNOTAVAIL},
		{at("localhost", 0), control.ForwardOptions{}, "listen on 127.0.0.1:0: the port must be from 1 to 65535", nil},
		{at("::1", 65536), control.ForwardOptions{}, "listen on [::1]:65536: the port must be from 1 to 65535", nil},
	} {
		all, err := listen(c.at, c.how)
		closeAll(all)
		if err == nil || err.Error() != c.want || c.is != nil && !errors.Is(err, c.is) || len(all) > 0 {
			t.Errorf("%s: %v, want %s", c.at, err, c.want)
		}
	}
	if haveIPv6() { // one of two is enough, and the status says what is missing
		fx := realFixture(t, nil)
		f := local(port, "x")
		if _, err := fx.Add(t.Context(), f, control.ForwardOptions{}, fx.owner(), false); err != nil {
			t.Error(err)
		}
		if st := fx.state(f); st.State != control.ForwardActive || st.LastErr != fmt.Sprintf("listen on 127.0.0.1:%d: address already in use", port) {
			t.Errorf("%+v", st)
		}
	}
}

// TestPrivilegedPort needs not to be root, who may.
func TestPrivilegedPort(t *testing.T) {
	all, err := listen(at("127.0.0.1", 81), control.ForwardOptions{})
	closeAll(all)
	if err == nil {
		t.Skip("this process may listen below 1024")
	}
	if want := "listen on 127.0.0.1:81: permission denied (ports below 1024 are root's)"; err.Error() != want {
		t.Error(err)
	}
}

// TestUnixModes holds the permissions, with and without a umask in the way.
func TestUnixModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		for mask, want := range map[uint32]os.FileMode{0o177: 0o600, 0o077: 0o700, 0: 0o777, 0o117: 0o660, 0o777: 0} {
			path := filepath.Join(t.TempDir(), "s")
			before := unix.Umask(umask)
			l, err := listenUnix(path, control.ForwardOptions{Mask: mask})
			unix.Umask(before)
			if err != nil {
				t.Fatal(err)
			}
			if st, err := os.Lstat(path); err != nil || st.Mode().Perm() != want {
				t.Errorf("umask %o, mask %o: %v, %v", umask, mask, st.Mode(), err)
			}
			l.Close()
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it stays: %v", err)
			}
		}
	}
}

// TestUnixNeverWider looks at the path in the moment between bind and the rest.
func TestUnixNeverWider(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	defer unix.Umask(unix.Umask(0))
	stop, seen := make(chan struct{}), make(chan os.FileMode)
	go func() {
		var wide os.FileMode
		for {
			select {
			case <-stop:
				seen <- wide
				return
			default:
			}
			if st, err := os.Lstat(path); err == nil {
				wide |= st.Mode().Perm()
			}
		}
	}()
	for range 300 {
		l, err := listenUnix(path, control.ForwardOptions{Mask: 0o177})
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	close(stop)
	if wide := <-seen; wide&^0o600 != 0 {
		t.Errorf("it was %o", wide)
	}
}

// TestUnixInTheWay is what may stand at the path.
func TestUnixInTheWay(t *testing.T) {
	stale := func(t *testing.T, path string) {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
	}
	living := func(t *testing.T, path string) {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	file := func(t *testing.T, path string) { os.WriteFile(path, nil, 0o600) }
	for _, c := range []struct {
		name   string
		put    func(t *testing.T, path string)
		unlink bool
		want   string
	}{
		{"nothing", func(*testing.T, string) {}, false, ""},
		{"nothing", func(*testing.T, string) {}, true, ""},
		{"stale socket", stale, false, ""},
		{"stale socket", stale, true, ""},
		{"living socket", living, false, "listen on P: address already in use"},
		{"living socket", living, true, ""},
		{"file", file, false, "listen on P: a file is in the way (StreamLocalBindUnlink yes removes it): address already in use"},
		{"file", file, true, ""},
		{"directory", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, false, "listen on P: a directory is in the way: address already in use"},
		{"directory", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, true, "listen on P: a directory is in the way: address already in use"},
		{"link to a stale socket", func(t *testing.T, path string) { stale(t, path+"2"); os.Symlink(path+"2", path) }, false, "listen on P: a file is in the way (StreamLocalBindUnlink yes removes it): address already in use"},
		{"datagram socket", func(t *testing.T, path string) {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}, false, "listen on P: address already in use"},
	} {
		path := filepath.Join(t.TempDir(), "s")
		c.put(t, path)
		l, err := listenUnix(path, control.ForwardOptions{Mask: 0o177, Unlink: c.unlink})
		if c.want != "" {
			if want := strings.ReplaceAll(c.want, "P", path); err == nil || err.Error() != want {
				t.Errorf("%s, unlink %v: %v, want %s", c.name, c.unlink, err, want)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("%s: it was removed", c.name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, unlink %v: %v", c.name, c.unlink, err)
			continue
		}
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else {
			nc.Close()
		}
		l.Close()
	}
	path := filepath.Join(t.TempDir(), "no", "such")
	if _, err := listenUnix(path, control.ForwardOptions{}); err == nil || err.Error() != "listen on "+path+": no such file or directory" {
		t.Error(err)
	}
}

// TestUnixPathLength is one byte over and just not.
func TestUnixPathLength(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/" + strings.Repeat("n", mostPath-len(dir)-1)
	l, err := listenUnix(path, control.ForwardOptions{Mask: 0o177})
	if err != nil {
		t.Errorf("%d bytes: %v", len(path), err)
	} else {
		l.Close()
	}
	path += "n"
	if _, err = listenUnix(path, control.ForwardOptions{}); err == nil || err.Error() != fmt.Sprintf("listen on %s: the path has %d bytes, and a Unix socket's has at most %d", path, mostPath+1, mostPath) {
		t.Error(err)
	}
}

// TestUnixOwnInode leaves alone what another one put in the place.
func TestUnixOwnInode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fx := realFixture(t, nil)
	f := control.Forward{Kind: control.ForwardLocal, Listen: control.Endpoint{Path: path}, Connect: at("x", 80)}
	add := func() {
		t.Helper()
		if _, err := fx.Add(t.Context(), f, control.ForwardOptions{Mask: 0o177}, fx.owner(), false); err != nil {
			t.Fatal(err)
		}
	}
	add()
	fx.Cancel(f)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it stays: %v", err)
	}
	add()
	os.Remove(path)
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fx.Cancel(f)
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the other one's is gone: %v", err)
	}
	nc.Close()
}

// TestSocks is a whole connection by real sockets and the bytes that curl sends.
func TestSocks(t *testing.T) {
	for name, c := range map[string]struct{ request, answer string }{
		"4":  {"\x04\x01\x00\x50\x0a\x00\x00\x01\x00", "\x00\x5a\x00\x00\x00\x00\x00\x00"},
		"4a": {"\x04\x01\x00\x50\x00\x00\x00\x01\x00inner\x00", "\x00\x5a\x00\x00\x00\x00\x00\x00"},
		"5":  {"\x05\x02\x00\x01\x05\x01\x00\x03\x05inner\x00\x50", "\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			fx := realFixture(t, nil)
			f := dynamic(freePort(t))
			fx.add(t, f, fx.owner())
			client := dialAt(t, at("127.0.0.1", f.Listen.Port))
			io.WriteString(client, c.request+"question")
			b := make([]byte, len(c.answer))
			if _, err := io.ReadFull(client, b); err != nil || string(b) != c.answer {
				t.Errorf("%q, %v", b, err)
			}
			far := fx.farSide(t, 1)
			b = make([]byte, 8)
			if _, err := io.ReadFull(far, b); err != nil || string(b) != "question" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

// TestOutOfDescriptors goes on when there are some again.
func TestOutOfDescriptors(t *testing.T) {
	fx := realFixture(t, nil)
	f := control.Forward{Kind: control.ForwardLocal, Listen: at("127.0.0.1", freePort(t)), Connect: at("x", 80)}
	fx.add(t, f, fx.owner())
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	nc := dialAt(t, f.Listen)
	fx.farSide(t, 1)
	var held []*os.File
	defer func() {
		for _, f := range held {
			f.Close()
		}
	}()
	top, _ := unix.Dup(0)
	unix.Close(top)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(top) + 20, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	// The next one is accepted with the last descriptor, and the accept behind it
	// fails although nobody waits for it.
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(client)
	fill := func() {
		for {
			f, err := os.Open("/dev/null")
			if err != nil {
				return
			}
			held = append(held, f)
		}
	}
	fill()
	if err := unix.Connect(client, &unix.SockaddrInet4{Port: f.Listen.Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the error", func() bool { fill(); return strings.Contains(fx.state(f).LastErr, "too many open files") })
	if st := fx.state(f); st.State != control.ForwardActive {
		t.Errorf("%+v", st)
	}
	for _, f := range held {
		f.Close()
	}
	held = nil
	eventually(t, "the connection", func() bool { return fx.Open() == 2 && fx.state(f).LastErr == "" })
	nc.Close()
}

func TestHosts(t *testing.T) {
	if got := hosts("example.org", "tcp"); !slices.Equal(got, []string{"example.org"}) {
		t.Error(got)
	}
}

func closeAll(all []net.Listener) { newListeners(all).close() }
