package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"muxd/internal/sshtest"
)

// TestDocker is the recipe for docker: its client calls stock ssh for each of its
// connections to the engine, and all of them go through muxd's. The engine is one
// that knows a single container.
func TestDocker(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "docker", "ssh")
	engine := filepath.Join(t.TempDir(), "engine")
	ln, err := net.Listen("unix", engine)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	mux.HandleFunc("/v1.41/containers/json", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`[{"Id":"0123456789abcdef","Names":["/works"],"Image":"x","Command":"y","State":"running","Status":"Up"}]`))
	})
	srv := &http.Server{Handler: mux}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })

	h := startHost(t, "SetEnv DOCKER_HOST=unix://"+engine)
	h.prepare()
	path := filepath.Join(h.dir, "path")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	// ssh takes its user's configuration from the home directory that the system
	// names, which is nobody's to write here.
	ssh := filepath.Join(path, "ssh")
	write(t, ssh, "#!/bin/sh\nexec /usr/bin/ssh -F "+h.cfg+" \"$@\"\n")
	os.Chmod(ssh, 0o755)
	h.setenv("PATH", path+":/usr/local/bin:/usr/bin:/bin")
	h.setenv("DOCKER_HOST", "ssh://box")
	for range 2 {
		h.run(h.command("docker", "ps", "--format", "{{.Names}}"), nil).is(t, "works\n", "", 0)
	}
	h.logins(1)
	if len(h.served()) != 1 {
		t.Errorf("served: %v", h.served())
	}
}
