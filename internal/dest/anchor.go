package dest

import (
	"path/filepath"
	"strings"
)

// anchored are the keywords that name files which ssh looks for in the
// directory it was called from. muxd's own directory is /.
var anchored = map[string]bool{
	"identityfile": true, "certificatefile": true, "identityagent": true,
	"userknownhostsfile": true, "globalknownhostsfile": true, "revokedhostkeys": true,
}

// anchor makes the files of the newest setting absolute, from the client's
// directory.
func (c *commandLine) anchor() {
	s := &c.settings[len(c.settings)-1]
	k := strings.ToLower(s.Keyword)
	dir := c.dir
	switch {
	case !anchored[k]:
		return
	case k != "globalknownhostsfile": // the others are expanded
		dir = strings.ReplaceAll(dir, "%", "%%")
	}
	switch {
	case s.Literal:
		s.Value = clientPath(dir, s.Value)
	case k == "identityagent" && s.Value == "SSH_AUTH_SOCK":
	case strings.HasPrefix(s.Value, `"`):
		s.Value = `"` + clientPath(quoted.Replace(dir), s.Value[1:])
	default:
		files := strings.Fields(s.Value)
		for i, f := range files {
			if p := clientPath(quoted.Replace(dir), f); p != f {
				files[i] = `"` + p + `"`
			}
		}
		s.Value = strings.Join(files, " ")
	}
}

// quoted is what stands for a character between double quotes.
var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// clientPath is a file's name as the client in directory dir means it. What
// begins with ~, $ or %d is expanded to an absolute name later.
func clientPath(dir, file string) string {
	if file == "" || strings.EqualFold(file, "none") || strings.IndexByte(`/~$"#`, file[0]) >= 0 || strings.HasPrefix(file, "%d") {
		return file
	}
	return filepath.Join(dir, file)
}
