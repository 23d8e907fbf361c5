package controltest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"muxd/control"
)

// Person is a control.Prompter that answers as a test has it answer, and
// remembers. The zero Person is told things, and is nobody where something is
// asked. Set its fields before it is used.
type Person struct {
	// OnPrompt answers; unset means that nobody is there.
	OnPrompt func(ctx context.Context, q control.Prompt) (control.Answer, error)
	// OnRun runs a command; unset means that the client runs nothing.
	OnRun func(ctx context.Context, c control.Command) (control.Ran, error)
	// Hurry is what Impatient returns.
	Hurry chan struct{}

	mu      sync.Mutex
	asked   []control.Prompt  // guarded by mu
	notices []string          // guarded by mu
	waits   []control.Waiting // guarded by mu
}

// Says answers the prompts in order, the last one for ever. Without words
// nobody is there.
func Says(words ...string) *Person {
	p := &Person{}
	if len(words) == 0 {
		return p
	}
	p.OnPrompt = func(context.Context, control.Prompt) (control.Answer, error) {
		return control.Answer{Text: words[min(p.Times(), len(words))-1]}, nil
	}
	return p
}

// Fails answers every prompt by an error.
func Fails(err error) *Person {
	return &Person{OnPrompt: func(context.Context, control.Prompt) (control.Answer, error) { return control.Answer{}, err }}
}

// Thinks waits at the prompt until it is taken back.
func Thinks() *Person {
	return &Person{OnPrompt: func(ctx context.Context, _ control.Prompt) (control.Answer, error) {
		<-ctx.Done()
		return control.Answer{}, ctx.Err()
	}}
}

// Prompt implements control.Prompter.
func (p *Person) Prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	if p.OnPrompt == nil {
		return control.Answer{}, control.ErrNobody
	}
	p.mu.Lock()
	p.asked = append(p.asked, q)
	p.mu.Unlock()
	return p.OnPrompt(ctx, q)
}

// Run implements control.Prompter.
func (p *Person) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	if p.OnRun == nil {
		return control.Ran{}, control.ErrNobody
	}
	return p.OnRun(ctx, c)
}

// Notice implements control.Prompter.
func (p *Person) Notice(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notices = append(p.notices, text)
}

// Waiting implements control.Prompter.
func (p *Person) Waiting(w control.Waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits = append(p.waits, w)
}

// Impatient implements control.Prompter.
func (p *Person) Impatient() <-chan struct{} { return p.Hurry }

// Times is how often the person was asked.
func (p *Person) Times() int { return len(p.Asked()) }

// Asked are the prompts so far; where nobody is there, nobody is asked.
func (p *Person) Asked() []control.Prompt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// Told is what the person was told, a line for each notice.
func (p *Person) Told() string { return strings.Join(p.Notices(), "\n") }

// Notices are what the person was told.
func (p *Person) Notices() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.notices)
}

// Waits is what the person was told of waiting.
func (p *Person) Waits() []control.Waiting {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.waits)
}
