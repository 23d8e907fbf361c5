package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// recipe is a block of docs/recipes.md that is run as it stands.
type recipe struct {
	needs []string
	text  string
}

func recipes(t *testing.T) []recipe {
	t.Helper()
	var all []recipe
	block := regexp.MustCompile(`(?m)^<!-- run:(.*) -->\n\n((?:    .*\n|\n(?:    ))+)`)
	for _, m := range block.FindAllStringSubmatch(read(t, "../../docs/recipes.md"), -1) {
		all = append(all, recipe{strings.Fields(m[1]), strings.ReplaceAll("\n"+m[2], "\n    ", "\n")})
	}
	if n := strings.Count(read(t, "../../docs/recipes.md"), "<!-- run:"); n != len(all) || n < 10 {
		t.Fatalf("%d of %d recipes found", len(all), n)
	}
	return all
}

// What a recipe is to have said or done, by what its text has.
var recipesShow = map[string]string{
	"ansible": "host | CHANGED | rc=0 >>\nworks", "mosh": "works\n", "seq 20 | parallel": "20\n", "xargs": "20\n", "parallel-ssh": "works\n",
	"today is": "today is 2", "while read": "got one\ngot two\n", "emacs": "one\ntwo\n", "sshfs": "inner\n",
}

// Every recipe does what it says, and all of one use one login.
func TestRecipes(t *testing.T) {
	t.Parallel()
	for _, r := range recipes(t) {
		t.Run(strings.Join(append([]string{"sh"}, r.needs...), " "), func(t *testing.T) {
			t.Parallel()
			for _, need := range r.needs {
				sshtest.Require(t, need)
			}
			h := startHost(t)
			h.cfg = h.sshd.ClientConfig(t, "host")
			path := filepath.Join(h.dir, "path")
			os.MkdirAll(filepath.Join(h.dir, "dir"), 0o755)
			os.Mkdir(path, 0o755)
			write(t, filepath.Join(h.dir, "dir/inner"), "inside\n")
			write(t, filepath.Join(h.dir, "file"), "one\ntwo\n")
			os.Rename(h.wrapped(), filepath.Join(path, "muxc"))
			h.setenv("PATH", path+":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
			h.env = append(h.env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
				"ANSIBLE_LOCAL_TEMP="+h.dir+"/at", "ANSIBLE_NOCOLOR=1", "ANSIBLE_HOME="+h.dir, "LC_ALL=C.UTF-8")
			res := h.run(h.command("sh", "-ec", r.text), nil)
			if res.code != 0 {
				t.Fatalf("exit %d, %q, %q", res.code, res.out, res.err)
			}
			for mark, want := range recipesShow {
				if strings.Contains(r.text, mark) && !strings.Contains(res.out, want) {
					t.Errorf("it shows %q (%q), want %q", res.out, res.err, want)
				}
			}
			for made, same := range map[string]string{"copy/": "dir/inner", "uploaded": "file", "put file": "file", "there": "dir/inner"} {
				at := map[string]string{"copy/": "copy/inner", "uploaded": "uploaded", "put file": "put", "there": "there/dir/inner"}[made]
				if strings.Contains(r.text, made) {
					h.same(filepath.Join(h.dir, same), filepath.Join(h.dir, at))
				}
			}
			if n := h.sshd.Logins(); n != 1 {
				t.Errorf("%d logins, want 1", n)
			}
		})
	}
}
