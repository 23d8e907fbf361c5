package packaging

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// packed are the files that every package must have, below the root.
var packed = []string{
	"usr/bin/muxc", "usr/bin/muxd",
	"usr/lib/systemd/user/muxd.service", "usr/lib/systemd/user/muxd.socket",
	"usr/share/man/man1/muxc.1", "usr/share/man/man5/muxd_config.5", "usr/share/man/man8/muxd.8",
	"usr/share/bash-completion/completions/muxc", "usr/share/bash-completion/completions/muxd",
	"usr/share/fish/vendor_completions.d/muxc.fish", "usr/share/fish/vendor_completions.d/muxd.fish",
	"usr/share/doc/muxd/README.md", "usr/share/doc/muxd/CHANGELOG.md", "usr/share/doc/muxd/docs/recipes.md",
	"usr/share/doc/muxd/copyright", "usr/share/doc/muxd/sbom.cdx.json",
}

// The deb and the rpm are built, looked into, and the deb is unpacked and used.
func TestPackages(t *testing.T) {
	sshtest.Require(t, "make", "install", "git", "dpkg-deb", "nfpm")
	nfpm, _ := exec.LookPath("nfpm")
	made := t.TempDir()
	inTree(t, "make", "-s", "packages", "NFPM="+nfpm, "PACKAGES="+made)
	deb, rpm := only(t, made+"/*.deb"), only(t, made+"/*.rpm")

	root := t.TempDir()
	inTree(t, "dpkg-deb", "-x", deb, root)
	unpacked := digests(t, root)
	for _, want := range append(packed, "usr/share/zsh/vendor-completions/_muxc", "usr/share/zsh/vendor-completions/_muxd") {
		if unpacked[want] == "" {
			t.Errorf("the deb has no %s", want)
		}
	}
	t.Run("rpm", func(t *testing.T) {
		want := map[string]string{} // where Fedora's zsh looks
		for path, sum := range unpacked {
			want[strings.Replace(path, "/vendor-completions/", "/site-functions/", 1)] = sum
		}
		p := readRPM(t, rpm)
		if got := p.digests; !maps.Equal(got, want) {
			t.Errorf("the rpm has %v\nthe deb %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		if !slices.Equal(p.recommends, []string{"openssh-clients"}) || p.buildHost != "localhost" {
			t.Errorf("the rpm recommends %q, and was built on %q", p.recommends, p.buildHost)
		}
	})
	t.Run("control", func(t *testing.T) { lookAtControl(t, deb) })
	t.Run("sbom", func(t *testing.T) {
		bill := read(t, root+"/usr/share/doc/muxd/sbom.cdx.json")
		for _, program := range []string{"usr/bin/muxc", "usr/bin/muxd"} {
			if !strings.Contains(bill, unpacked[program]) {
				t.Errorf("it is not of the %s in the package", program)
			}
		}
	})
	t.Run("programs", func(t *testing.T) { useUnpacked(t, root) })
	t.Run("units", func(t *testing.T) { verifyUnpacked(t, root) })
	t.Run("dpkg", func(t *testing.T) { installAndRemove(t, deb) })
}

func only(t *testing.T, pattern string) string {
	t.Helper()
	files, _ := filepath.Glob(pattern)
	if len(files) != 1 {
		t.Fatalf("%s: %q, want one", pattern, files)
	}
	return files[0]
}

// digests are the SHA-256 of all files below a directory, by their path in it.
func digests(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(root, path)
			all[path] = digest(read(t, filepath.Join(root, path)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func lookAtControl(t *testing.T, deb string) {
	control := inTree(t, "dpkg-deb", "-I", deb)
	for _, want := range []string{"\n Package: muxd\n", "\n Recommends: openssh-client\n", "\n Description: SSH connections that many"} {
		if !strings.Contains(control, want) {
			t.Errorf("no %q in %s", want, control)
		}
	}
	for line := range strings.Lines(inTree(t, "dpkg-deb", "-c", deb)) {
		mode, rest, _ := strings.Cut(line, " ")
		owner, _, _ := strings.Cut(rest, " ")
		if owner != "root/root" || mode[5] == 'w' || mode[8] == 'w' || strings.ContainsAny(mode, "sS") {
			t.Errorf("in the deb: %s", line)
		}
	}
}

// useUnpacked has muxc start the muxd that lies beside it, and ends that.
func useUnpacked(t *testing.T, root string) {
	home := t.TempDir()
	os.Chmod(home, 0o700) // of a directory open to others muxd would have no socket
	bin := filepath.Join(root, "usr/bin")
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Env = append(sshtest.Env(home), "MUXD_SOCKET="+home+"/ctl", "XDG_STATE_HOME="+home+"/state")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s %q: %v: %s", name, args, err, out)
		}
		return string(out)
	}
	if out := run("muxd", "-V"); !strings.HasPrefix(out, "muxd ") {
		t.Errorf("muxd -V: %s", out)
	}
	if out := run("muxc", "-G", "-p", "2022", "some.host"); !strings.Contains(out, "\nport 2022\n") {
		t.Errorf("muxc -G: %s", out)
	}
	run("muxd", "stop", "--force")
}

func verifyUnpacked(t *testing.T, root string) {
	sshtest.Require(t, "systemd-analyze")
	units := filepath.Join(root, "usr/lib/systemd/user")
	service := read(t, units+"/muxd.service")
	if !strings.Contains(service, "\nExecStart=/usr/bin/muxd\n") {
		t.Errorf("the unit starts something else:\n%s", service)
	}
	// It looks for the program on this machine, where nothing was installed.
	service = strings.Replace(service, "=/usr/bin/muxd\n", "="+root+"/usr/bin/muxd\n", 1)
	if err := os.WriteFile(units+"/muxd.service", []byte(service), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-analyze", "verify", "--user", "--man=no", units+"/muxd.socket", units+"/muxd.service")
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "muxd") {
		t.Errorf("%v: %s", err, out)
	}
}

// installAndRemove has dpkg itself do it, in a root of its own.
func installAndRemove(t *testing.T, deb string) {
	sshtest.Require(t, "dpkg", "root")
	root := t.TempDir()
	for _, dir := range []string{"info", "updates", "triggers"} {
		os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755)
	}
	os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644)
	inTree(t, "dpkg", "--root="+root, "-i", deb)
	if said := inTree(t, "dpkg", "--root="+root, "--verify", "muxd"); said != "" {
		t.Errorf("installed, it differs: %s", said)
	}
	if _, err := os.Stat(root + "/usr/bin/muxc"); err != nil {
		t.Error(err)
	}
	inTree(t, "dpkg", "--root="+root, "-r", "muxd")
	if _, err := os.Stat(root + "/usr"); err == nil {
		t.Errorf("left: %v", slices.Sorted(maps.Keys(digests(t, root+"/usr"))))
	}
}
