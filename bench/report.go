package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// reportVersion rises when a field of the JSON changes its meaning.
const reportVersion = 2

// report is everything that one run found out.
type report struct {
	Version int        `json:"version"`
	Machine machine    `json:"machine"`
	Parts   []*section `json:"parts"`
}

// machine is what a reader must know of where the figures come from.
type machine struct {
	System  string `json:"system"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Go      string `json:"go"`
	SSH     string `json:"ssh"`
	Autossh string `json:"autossh"`
	Shell   string `json:"login_shell"` // what sshd started, by its own $0
}

// section is what one part found out. Its ratios are of one run, which need not
// be that of the other parts.
type section struct {
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"`
	Load    string    `json:"load"` // at the beginning, over 1, 5 and 15 minutes
	Commit  string    `json:"commit"`
	Error   string    `json:"error,omitempty"` // why there are no more rows
	Rows    []row     `json:"rows"`
}

// row is one comparison. Ratio is ours by theirs; a row without one of the two
// is there for scale, or says in Missing why it has not both.
type row struct {
	Name           string    `json:"name"`
	Unit           string    `json:"unit"`
	HigherIsBetter bool      `json:"higher_is_better,omitempty"`
	Chart          bool      `json:"chart,omitempty"` // is in the picture, whoever wins
	Muxc           *spread   `json:"muxc,omitempty"`
	SSH            *spread   `json:"ssh,omitempty"`
	Ratio          *interval `json:"ratio,omitempty"`
	Fresh          *spread   `json:"fresh_ssh,omitempty"`
	Missing        string    `json:"missing,omitempty"`
}

func newReport(l *lab) *report {
	said, _ := output(l.program(l.ssh, "-V"))
	shell := l.sshd.shell
	if real, err := os.Readlink(loginShell); err == nil && shell == "sh" {
		shell += " (" + real + ")"
	}
	return &report{Version: reportVersion, Machine: machine{
		System: uname(), CPU: cpuName(), Cores: runtime.NumCPU(), Go: runtime.Version(),
		SSH: strings.TrimSpace(said), Autossh: autosshVersion(), Shell: shell}}
}

// newSection is of a part that begins now.
func newSection(p part, commit string) *section {
	return &section{Name: p.name, Title: p.title, Time: time.Now().UTC(), Load: load(), Commit: commit}
}

// end closes a section and puts it into the report, in place of one of the same
// name if there is one.
func (r *report) end(s *section, err error) {
	s.Seconds = time.Since(s.Time).Round(100 * time.Millisecond).Seconds()
	if err != nil {
		s.Error = err.Error()
	}
	for i, old := range r.Parts {
		if old.Name == s.Name {
			r.Parts[i] = s
			return
		}
	}
	r.Parts = append(r.Parts, s)
}

// add puts a comparison into the section. Either set may be nil.
func (s *section) add(w row, ours, theirs []float64) {
	w.Muxc, w.SSH = some(ours), some(theirs)
	if len(ours) > 0 && len(theirs) > 0 {
		if i := ratioOf(ours, theirs); i.valid() {
			w.Ratio = &i
		}
	}
	s.Rows = append(s.Rows, w)
}

// miss puts a row into the section that cannot be had here, with the reason.
func (s *section) miss(name, unit, why string) {
	s.Rows = append(s.Rows, row{Name: name, Unit: unit, Missing: why})
}

// some is the spread of what was measured, nil of nothing.
func some(v []float64) *spread {
	if len(v) == 0 {
		return nil
	}
	s := spreadOf(v)
	return &s
}

// loses reports a row in which muxd is clearly worse, by the whole interval.
func (w row) loses() bool {
	if w.Ratio == nil {
		return false
	}
	if w.HigherIsBetter {
		return w.Ratio.High < 1
	}
	return w.Ratio.Low > 1
}

func (r *report) json() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

func uname() string {
	out, err := exec.Command("uname", "-srm").Output()
	if err != nil {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	return strings.TrimSpace(string(out))
}

// cpuName is the processor as /proc/cpuinfo names it.
func cpuName() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); err == nil && len(f) >= 3 {
		return strings.Join(f[:3], " ")
	}
	return "not known"
}

// commit is the source that is measured, with a + where it was changed since. The
// figures themselves do not count.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=10", "HEAD").Output()
	if err != nil {
		return "not known"
	}
	name := strings.TrimSpace(string(out))
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)bench/results").Output()
	if err != nil || len(changed) > 0 {
		name += "+"
	}
	return name
}

// noAutossh is what a row says that cannot be had without it.
const noAutossh = "autossh is not installed"

func autosshVersion() string {
	path, err := exec.LookPath("autossh")
	if err != nil {
		return "not installed"
	}
	out, _ := exec.Command(path, "-V").CombinedOutput()
	return strings.TrimSpace(string(out))
}
