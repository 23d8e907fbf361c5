package term

// None is the escape character of a session without one.
const None = -1

// Action is what an escape asks for.
type Action uint8

// The actions. Every escape that ssh knows is one of them, so that a finger
// that learned it does not type it into the session.
const (
	Pass        Action = iota // no escape: bytes for the session
	Disconnect                // ~. end this session
	Help                      // ~? show the list
	List                      // ~# list forwards
	Suspend                   // ~^Z suspend the client
	Break                     // ~B send a BREAK (RFC 4335)
	Unavailable               // one of ssh's that has no meaning here
)

// Event is a piece of what was typed.
type Event struct {
	Action Action
	Bytes  []byte // with Pass: what goes to the session
	Key    byte   // otherwise: the key behind the escape character
}

// Escaper finds the escapes in what a person types into one session
// (clientloop.c, process_escapes). It holds no goroutine and no lock, and
// belongs to whoever reads the terminal. Unlike in ssh, where all sessions
// share it, the memory of the last newline is one session's own.
type Escaper struct {
	char      int
	self      [1]byte // the escape character, for when it turns out to be meant
	lineStart bool    // the last byte was a newline, or there was none
	pending   bool    // the last byte was the escape character, and is held back
	closed    bool    // Disconnect was handed out
	events    []Event // handed out, and used again by the next Feed
}

// NewEscaper returns an Escaper for the escape character char, a byte, or None.
func NewEscaper(char int) *Escaper {
	return &Escaper{char: char, self: [1]byte{byte(char)}, lineStart: true}
}

// Feed takes the next bytes that were typed and returns what they mean, in
// order; how they are cut into calls makes no difference. The events and their
// Bytes are parts of in and of e: they hold until the next call. Behind a
// Disconnect nothing follows, in this call and in later ones.
func (e *Escaper) Feed(in []byte) []Event {
	e.events = e.events[:0]
	from := 0 // where the bytes begin that are not handed out yet
	for i, c := range in {
		switch {
		case e.closed:
			return e.events
		case e.pending:
			e.pending = false
			if a := actionOf(c); a != Pass {
				e.events = append(e.events, Event{Action: a, Key: c})
				e.closed = a == Disconnect
				from = i + 1
				continue
			}
			if int(c) != e.char {
				e.pass(e.self[:])
			}
		case e.lineStart && int(c) == e.char:
			e.pass(in[from:i])
			e.pending = true
			from = i + 1
			continue
		}
		e.lineStart = c == '\r' || c == '\n'
	}
	e.pass(in[from:])
	return e.events
}

// MidLine reports that what was fed so far ends in the middle of a line; whole,
// that nothing of it is held back.
func (e *Escaper) MidLine() (midLine, whole bool) { return !e.lineStart, !e.pending }

// Resume goes on where somebody else has fed the session meanwhile.
func (e *Escaper) Resume(lineStart bool) { e.lineStart = lineStart }

func (e *Escaper) pass(b []byte) {
	if len(b) > 0 {
		e.events = append(e.events, Event{Action: Pass, Bytes: b})
	}
}

func actionOf(key byte) Action {
	switch key {
	case '.':
		return Disconnect
	case '?':
		return Help
	case '#':
		return List
	case ctrlZ:
		return Suspend
	case 'B':
		return Break
	case '&', 'C', 'I', 'R', 'V', 'v':
		return Unavailable
	}
	return Pass
}

const ctrlZ = 'Z' & 0x1f
