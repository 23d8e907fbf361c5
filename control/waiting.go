package control

// Waiting implements Prompter.
func (o *operation) Waiting(Waiting) {}

// Impatient implements Prompter.
func (o *operation) Impatient() <-chan struct{} { return nil }
