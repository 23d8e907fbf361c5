package control

// What the tests outside the package need of its inside.
const (
	PrefaceTimeout = prefaceTimeout
	ScarceTimeout  = scarceTimeout
	HelloTimeout   = helloTimeout
	StopGrace      = stopGrace
	Linger         = linger
	MaxGreeting    = maxGreeting
	MaxClients     = maxClients
	LastClients    = lastClients
	StdinCredit    = stdinCredit
	MaxText        = maxText
	PassFrom       = passFrom

	FrameStdin     = byte(frameStdin)
	FrameStdinEOF  = byte(frameStdinEOF)
	FrameResize    = byte(frameResize)
	FrameSignal    = byte(frameSignal)
	FrameAnswer    = byte(frameAnswer)
	FrameOpened    = byte(frameOpened)
	FrameStdout    = byte(frameStdout)
	FramePrompt    = byte(framePrompt)
	FrameExit      = byte(frameExit)
	FrameError     = byte(frameError)
	FrameRequest   = byte(frameRequest)
	FrameNotice    = byte(frameNotice)
	FrameWaiting   = byte(frameWaiting)
	FramePassed    = byte(framePassed)
	FramePromptOff = byte(framePromptCancel)
)

// Crowd has n clients be there until leave is called.
func (s *Server) Crowd(n int32) (leave func()) {
	s.clients.Add(n)
	return func() { s.clients.Add(-n) }
}

// Bytes returns the preface as it travels.
func (p Preface) Bytes() []byte { return p.append(nil) }

// Bytes returns the hello as it travels.
func (h Hello) Bytes() []byte { return h.append(nil) }

// Bytes returns the request as it travels.
func (v *Invocation) Bytes() []byte { return v.encode() }

// Opening returns what Run writes for v.
func Opening(v *Invocation) []byte {
	b := v.encode()
	return append(Preface{Version: Version, Flags: FlagOne, Length: uint32(len(b))}.append(nil), b...)
}

// Frame returns a frame as it travels.
func Frame(t byte, body []byte) []byte { return appendFrame(nil, frameType(t), body) }

// WindowBody returns the body of a resize.
func WindowBody(w Window) []byte {
	e := encoder{}
	e.window(w)
	return e.b
}

// AnswerBody returns the body of an answer.
func AnswerBody(id uint32, text string) []byte { return encodeAnswer(id, Answer{text}, nil) }

// PromptBody returns the body of a prompt.
func PromptBody(id uint32, q Prompt) []byte { return q.encode(id) }

// NumberBody returns a body that is one u32.
func NumberBody(n uint32) []byte {
	e := encoder{}
	e.u32(n)
	return e.b
}

// ExitBody returns the body of an exit.
func ExitBody(x Exit) []byte { return x.encode() }

// Frames reads frames, for a client or server made by hand.
type Frames struct{ r frameReader }

// NewFrames reads from c, from its hello on if that was not read.
func NewFrames(c Conn) *Frames { return &Frames{frameReader{r: c}} }

// Hello reads the hello.
func (f *Frames) Hello() (Hello, error) { return readHello(&f.r) }

// Next returns the next frame.
func (f *Frames) Next() (byte, []byte, error) {
	t, b, err := f.r.next()
	return byte(t), b, err
}
