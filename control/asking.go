package control

import (
	"context"
	"errors"
)

// Prompt implements Prompter by asking the client. It returns when ctx ends
// also if the client reads nothing.
func (o *operation) Prompt(ctx context.Context, q Prompt) (Answer, error) {
	ch := make(chan answer, 1) // the one answer never blocks the reader
	o.mu.Lock()
	if o.gone {
		o.mu.Unlock()
		return Answer{}, errClientGone
	}
	o.lastID++
	id := o.lastID
	o.prompts[id] = ch
	o.mu.Unlock()
	if err := o.w.post(framePrompt, q.encode(id), heldPrompts); err != nil {
		o.forget(id)
		return Answer{}, errors.Join(errClientGone, err)
	}
	select {
	case r := <-ch:
		return r.a, r.err
	case <-ctx.Done():
	}
	o.forget(id)
	e := encoder{}
	e.u32(id)
	o.w.post(framePromptCancel, e.b, heldCancels)
	return Answer{}, ctx.Err()
}

func (o *operation) forget(id uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.prompts, id)
}

// Notice implements Prompter. It never waits: a notice may go to many clients.
func (o *operation) Notice(text string) { o.w.post(frameNotice, noticeBody(text), heldNotices) }

func noticeBody(text string) []byte {
	e := encoder{}
	e.str(Clean(text))
	return e.b
}

// answered hands an answer to the prompt it belongs to.
func (o *operation) answered(b []byte) error {
	id, a, aerr, err := decodeAnswer(b)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	// An answer to a prompt that was taken back is late, not wrong.
	if ch := o.prompts[id]; ch != nil {
		ch <- answer{a, aerr}
		delete(o.prompts, id)
	}
	return nil
}
