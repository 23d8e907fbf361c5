package sshconf

import (
	"fmt"
	"strconv"
)

// forwards prints those of one keyword. ssh -G prints a local forward to a
// path twice, the first time as a dynamic one, and one to a host called socks
// as a dynamic one only.
func (d *dumper) forwards(name string) {
	if name == "remoteforward" {
		for _, f := range d.c.remoteForwards {
			d.put(name, f.listening(), f.connecting())
		}
		return
	}
	for _, f := range d.c.localForwards {
		socks := f.Dynamic || f.ConnectHost == "socks"
		switch {
		case name == "dynamicforward" && (socks || f.ConnectPath != ""):
			d.put(name, f.listening())
		case name == "localforward" && !socks:
			d.put(name, f.listening(), f.connecting())
		}
	}
}

func (f Forward) listening() string {
	switch {
	case f.ListenPath != "":
		return f.ListenPath
	case f.bareListen:
		return strconv.Itoa(f.ListenPort)
	}
	return fmt.Sprintf("[%s]:%d", f.ListenHost, f.ListenPort)
}

func (f Forward) connecting() string {
	switch {
	case f.ConnectPath != "":
		return f.ConnectPath
	case f.Dynamic:
		return "[socks]:0"
	}
	return fmt.Sprintf("[%s]:%d", f.ConnectHost, f.ConnectPort)
}

// qosName is the name of a DSCP byte, or its number where it has none. Only
// qosNone has several names, so that the order of the map does not matter.
func qosName(n int) string {
	if n == qosNone {
		return "none"
	}
	for name, value := range qosNames {
		if value == n {
			return name
		}
	}
	return fmt.Sprintf("0x%02x", n)
}

// escapeName writes the escape character as vis(3) does for ssh -G.
func escapeName(n int) string {
	switch {
	case n < 0:
		return "none"
	case n == '\\':
		return `\\`
	case n == ' ':
		return `\040`
	case n < ' ' || n == 0x7f:
		return `\^` + string(rune(n^0x40))
	case n > 0x7f:
		return fmt.Sprintf(`\%03o`, n)
	}
	return string(rune(n))
}
