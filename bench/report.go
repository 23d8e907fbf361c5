package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// reportVersion rises when a field of the JSON changes its meaning.
const reportVersion = 1

// report is everything that one run found out.
type report struct {
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	Machine machine   `json:"machine"`
	Rows    []row     `json:"rows"`
}

// machine is what a reader must know of where the figures come from.
type machine struct {
	System  string `json:"system"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Go      string `json:"go"`
	SSH     string `json:"ssh"`
	Shell   string `json:"login_shell"` // what sshd started, by its own $0
	LoadNow string `json:"load"`        // at the beginning, over 1, 5 and 15 minutes
}

// row is one comparison. Ratio is ours by theirs; a row without one of the two
// is there for scale.
type row struct {
	Name           string    `json:"name"`
	Unit           string    `json:"unit"`
	HigherIsBetter bool      `json:"higher_is_better,omitempty"`
	Muxc           *spread   `json:"muxc,omitempty"`
	SSH            *spread   `json:"ssh,omitempty"`
	Ratio          *interval `json:"ratio,omitempty"`
}

func newReport(l *lab) *report {
	said, _ := output(l.program(l.ssh, "-V"))
	shell := l.sshd.shell
	if real, err := os.Readlink(loginShell); err == nil && shell == "sh" {
		shell += " (" + real + ")"
	}
	return &report{Version: reportVersion, Time: time.Now().UTC(), Machine: machine{
		System: uname(), CPU: cpuName(), Cores: runtime.NumCPU(), Go: runtime.Version(),
		SSH: strings.TrimSpace(said), Shell: shell, LoadNow: load()}}
}

// add puts a comparison into the report. Either set may be nil.
func (r *report) add(w row, ours, theirs []float64) {
	if len(ours) > 0 {
		s := spreadOf(ours)
		w.Muxc = &s
	}
	if len(theirs) > 0 {
		s := spreadOf(theirs)
		w.SSH = &s
	}
	if len(ours) > 0 && len(theirs) > 0 {
		i := ratioOf(ours, theirs)
		w.Ratio = &i
	}
	r.Rows = append(r.Rows, w)
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

// print writes the table for people: medians, quartiles, and the ratio with
// its interval. Rows that muxd loses are marked, so that nobody has to look
// for them.
func (r *report) print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d × %s\n%s, %s, login shell %s, load %s\n\n", m.System, m.Cores, m.CPU, m.SSH, m.Go, m.Shell, m.LoadNow)
	fmt.Fprintf(w, "%-46s %-22s %-22s %s\n", "", "muxc and muxd", "ssh", "ratio (95 %)")
	for _, x := range r.Rows {
		mark := ""
		if x.loses() {
			mark = "  muxd loses"
		}
		fmt.Fprintf(w, "%-46s %-22s %-22s %s%s\n", x.Name, x.Muxc.text(x.Unit), x.SSH.text(x.Unit), x.Ratio.text(), mark)
	}
}

func (s *spread) text(unit string) string {
	switch {
	case s == nil:
		return "–"
	case s.N == 1:
		return figure(s.Median) + " " + unit
	}
	return fmt.Sprintf("%s (%s–%s) %s", figure(s.Median), figure(s.Q1), figure(s.Q3), unit)
}

func (i *interval) text() string {
	switch {
	case i == nil:
		return "–"
	case i.Low == i.High:
		return fmt.Sprintf("%.2f", i.Ratio)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", i.Ratio, i.Low, i.High)
}

// figure has three digits that mean something.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// finish prints the report, and writes it to a file where that was asked for.
func (r *report) finish(o options) error {
	r.print(os.Stdout)
	if o.json == "" {
		return nil
	}
	return r.write(o.json)
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
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
