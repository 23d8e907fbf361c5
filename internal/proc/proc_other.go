//go:build !linux

package proc

// Other systems show these to nobody, or to debuggers.

// Environ is nil: it is not to be seen.
func Environ(int) []string { return nil }

// Args is nil: they are not to be seen.
func Args(int) []string { return nil }

// Dir is "": it is not to be seen.
func Dir(int) string { return "" }

// Parent is 0: it is not to be seen.
func Parent(int) int { return 0 }
