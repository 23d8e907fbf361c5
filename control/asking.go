package control

import (
	"context"
	"errors"
)

// Prompt implements Prompter by asking the client. It returns when ctx ends
// also if the client reads nothing.
func (o *operation) Prompt(ctx context.Context, q Prompt) (Answer, error) {
	defer o.passed.forQuestion()()
	r, err := o.ask(ctx, framePrompt, q.encode)
	return r.a, err
}

// ask sends the client what it has to answer, and waits.
func (o *operation) ask(ctx context.Context, t frameType, body func(id uint32) []byte) (answer, error) {
	ch := make(chan answer, 1) // the one answer never blocks the reader
	o.mu.Lock()
	if o.gone {
		o.mu.Unlock()
		return answer{}, errClientGone
	}
	o.lastID++
	id := o.lastID
	o.prompts[id] = ch
	o.mu.Unlock()
	if err := o.w.post(t, body(id), heldPrompts); err != nil {
		o.forget(id)
		return answer{}, errors.Join(errClientGone, err)
	}
	select {
	case r := <-ch:
		return r, r.err
	case <-ctx.Done():
	}
	o.forget(id)
	e := encoder{}
	e.u32(id)
	o.w.post(framePromptCancel, e.b, heldCancels)
	return answer{}, ctx.Err()
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
	o.deliver(id, answer{a: a, err: aerr})
	return nil
}

// ranCommand hands the end of a command to who waits for it.
func (o *operation) ranCommand(b []byte) error {
	id, r, rerr, err := decodeRan(b)
	if err != nil {
		return err
	}
	o.deliver(id, answer{ran: r, err: rerr})
	return nil
}

// deliver passes an answer on. One to a question that was taken back is late,
// not wrong.
func (o *operation) deliver(id uint32, a answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ch := o.prompts[id]; ch != nil {
		ch <- a
		delete(o.prompts, id)
	}
}
