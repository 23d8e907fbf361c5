package x11

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

const (
	// basePort is where display 0 of a host listens (X11 protocol, appendix B).
	basePort = 6000
	// maxNumber is the last display that has a port; those of this machine's
	// sockets are held to it too, although ssh asks only of TCP.
	maxNumber = 65535 - basePort
	// maxScreen is the last screen that ssh would name (channels.c,
	// x11_request_forwarding_with_spoofing).
	maxScreen = 400
	// maxDisplay bounds DISPLAY, in bytes: what ssh has room for (clientloop.c,
	// client_x11_get_proto).
	maxDisplay = 511
)

// sockets is where displays of this machine have their Unix sockets.
const sockets = "/tmp/.X11-unix/X"

// Display is an X server and one of its screens, as DISPLAY names them.
type Display struct {
	Host   string // name or address; "" is this machine, by a Unix socket
	Path   string // of the socket, where DISPLAY names one (XQuartz does); else ""
	Number int
	Screen int // 0–400

	text string
}

// ParseDisplay reads DISPLAY as ssh does (clientloop.c,
// client_x11_display_valid; channels.c, x11_connect_display):
//
//	[unix]:NUMBER[.SCREEN]   a Unix socket of this machine
//	HOST:NUMBER[.SCREEN]     TCP port 6000+NUMBER; an IPv6 address in brackets
//	/PATH[.SCREEN]           a Unix socket by its path, ":0" and all
//
// It is stricter where ssh reads numbers up to the first thing that is none,
// and lets brackets pass, which ssh keeps from the shell that it starts xauth
// with.
func ParseDisplay(display string) (Display, error) {
	d, err := parse(display)
	if err != nil {
		return Display{}, fmt.Errorf("DISPLAY %.100q: %w", display, err)
	}
	d.text = display
	return d, nil
}

func parse(display string) (Display, error) {
	if display == "" {
		return Display{}, errors.New("is empty")
	}
	if len(display) > maxDisplay {
		return Display{}, fmt.Errorf("is longer than %d bytes", maxDisplay)
	}
	if i := strings.IndexFunc(display, func(r rune) bool { return !valid(r) }); i >= 0 {
		return Display{}, errors.New("has a character that no display has")
	}
	if display[0] == '/' {
		return parsePath(display)
	}
	i := strings.LastIndexByte(display, ':')
	if i < 0 {
		return Display{}, errors.New("has no colon before the display's number")
	}
	d := Display{}
	var err error
	if d.Number, d.Screen, err = numbers(display[i+1:]); err != nil {
		return Display{}, err
	}
	d.Host, err = host(display[:i])
	return d, err
}

// valid reports a character of SSH_X11_VALID_DISPLAY_CHARS, or a bracket.
func valid(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		strings.ContainsRune(":/.-_[]", r)
}

// parsePath leaves open whether a ".N" at the end is a screen or part of the
// socket's name: Dial looks (channels.c, is_path_to_xsocket).
func parsePath(display string) (Display, error) {
	if filepath.Base(display) == "/" || strings.HasSuffix(display, "/") {
		return Display{}, errors.New("is a directory and no socket")
	}
	d := Display{Path: display}
	if i := strings.LastIndexByte(display, ':'); i > strings.LastIndexByte(display, '/') {
		// What follows need not be numbers in a name that is only a path.
		if n, s, err := numbers(display[i+1:]); err == nil {
			d.Number, d.Screen = n, s
		}
	}
	return d, nil
}

// host reads what stands before the last colon; "" is this machine.
func host(s string) (string, error) {
	switch {
	case s == "" || s == "unix" || s == ":":
		return "", nil // ":" is of "::0", which ssh takes
	case s[0] == '[' && s[len(s)-1] == ']':
		a, err := netip.ParseAddr(s[1 : len(s)-1])
		if err != nil || !a.Is6() {
			return "", errors.New("has no IPv6 address in its brackets")
		}
		return a.String(), nil
	case strings.ContainsAny(s, "[]/") || s[0] == '-':
		return "", errors.New("names no host")
	case strings.Contains(s, ":"):
		return "", errors.New("has an IPv6 address without brackets")
	}
	return s, nil
}

// numbers reads NUMBER[.SCREEN].
func numbers(s string) (number, screen int, err error) {
	a, b, dotted := strings.Cut(s, ".")
	if number, err = decimal(a, maxNumber); err != nil {
		return 0, 0, fmt.Errorf("display number %w", err)
	}
	if !dotted {
		return number, 0, nil
	}
	if screen, err = decimal(b, maxScreen); err != nil {
		return 0, 0, fmt.Errorf("screen number %w", err)
	}
	return number, screen, nil
}

// decimal reads digits alone: no sign, which strconv would let pass.
func decimal(s string, limit int) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || int(n) > limit {
		return 0, fmt.Errorf("is not within 0 to %d", limit)
	}
	return int(n), nil
}

// String is DISPLAY as it was given.
func (d Display) String() string { return d.text }

// Dial connects to the X server. On Linux a display of this machine is looked
// for in the abstract name too, where a server may have no socket in /tmp; not
// before the socket, because anybody may take an abstract name that is free.
func (d Display) Dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	var first error
	network, addrs := d.addresses()
	for _, addr := range addrs {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, fmt.Errorf("display %s: %w", d, first)
}

// addresses returns where the display may be, best first.
func (d Display) addresses() (network string, addrs []string) {
	switch {
	case d.Path != "":
		addrs = []string{d.Path}
		if i := strings.LastIndexByte(d.Path, '.'); i > strings.LastIndexByte(d.Path, '/') {
			addrs = append(addrs, d.Path[:i])
		}
		return "unix", addrs
	case d.Host != "":
		return "tcp", []string{net.JoinHostPort(d.Host, strconv.Itoa(basePort+d.Number))}
	}
	path := sockets + strconv.Itoa(d.Number)
	if runtime.GOOS == "linux" {
		return "unix", []string{path, "@" + path}
	}
	return "unix", []string{path}
}
