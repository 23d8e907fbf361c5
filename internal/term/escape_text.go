package term

import "strings"

// help is what ~? shows, written for the escape character ~.
const help = `~?
The escapes of this session:
 ~.   end this session
 ~^Z  suspend muxc
 ~B   send a BREAK to the remote system
 ~#   list the forwards
 ~?   show this list
 ~~   send the escape character itself
They are recognised at the start of a line only.
`

// Text is what to show on the terminal, which is raw, when ev is an escape: the
// echo of the keys, the list for Help, an excuse for Unavailable. It is "" for
// Pass.
func (e *Escaper) Text(ev Event) string {
	text := "~" + keyName(ev.Key)
	switch ev.Action {
	case Pass:
		return ""
	case Help:
		text = strings.TrimSuffix(help, "\n")
	case Suspend:
		text += " [suspend muxc]"
	case Unavailable:
		text += " escape is not available in muxc"
	}
	text = strings.ReplaceAll(text, "~", keyName(e.self[0]))
	return strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"
}

// keyName writes control characters as people do. The rest is itself, also what
// is no ASCII: it is a byte of a character that was typed here.
func keyName(c byte) string {
	if c < 0x20 || c == 0x7f {
		return "^" + string([]byte{c ^ 0x40})
	}
	return string([]byte{c})
}
