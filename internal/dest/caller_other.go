//go:build !linux

package dest

func parentOf(int) int    { return 0 }
func dirOf(int) string    { return "" }
func argsOf(int) []string { return nil }
