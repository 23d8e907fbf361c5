package sshconf

// ParseStdioForward reads the argument of -W: host:port, or a path for a Unix
// socket on the server's side. In the Forward the listening end is set.
func ParseStdioForward(spec string, env func(string) string) (Forward, error) {
	f, ok := scanForward(spec, true, false, env)
	if !ok || f.ListenPath == "" && (f.ListenHost == "" || f.ListenPort == 0) {
		return f, fatalf("Bad stdio forwarding specification '%s'", spec)
	}
	return f, nil
}
