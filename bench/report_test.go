package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "write what is expected anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s differs from line %d on (%d lines, want %d; -update writes it anew)\n%s", path, i+1, len(g), len(w), got)
		}
	}
}

// sample is a report with a row of every kind.
func sample() *report {
	r := &report{Version: reportVersion, Machine: machine{System: "Linux 6.1 x86_64", CPU: "Some CPU", Cores: 2,
		Go: "go1.26", SSH: "OpenSSH_9.2p1", Autossh: "autossh 1.4g", Shell: "sh (dash)"}}
	when := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	a := &section{Name: "warm", Title: "Commands", Time: when, Seconds: 12.5, Load: "0.10 0.20 0.30", Commit: "0123456789"}
	a.add(row{Name: "faster", Unit: "ms", Chart: true, Fresh: some([]float64{200})}, []float64{1, 1.2, 1.1}, []float64{2, 2.5, 2.2})
	a.add(row{Name: "slower <&>", Unit: "ms", Chart: true}, []float64{3, 3.3, 3.1}, []float64{1, 1.1, 1.3})
	a.add(row{Name: "no telling", Unit: "ms", Chart: true}, []float64{1, 3, 2.4}, []float64{2, 1, 3})
	a.add(row{Name: "– for scale", Unit: "ms"}, nil, []float64{0.5})
	a.add(row{Name: "– far beyond the axis", Unit: "ms", Chart: true}, []float64{100}, []float64{1})
	b := &section{Name: "throughput", Title: "Throughput", Time: when.Add(time.Hour), Seconds: 100, Load: "1.00 1.00 1.00", Commit: "0123456789"}
	b.add(row{Name: "a higher rate", Unit: "MB/s", HigherIsBetter: true, Chart: true}, []float64{500, 520, 510}, []float64{300, 310, 330})
	b.add(row{Name: "a lower rate", Unit: "MB/s", HigherIsBetter: true, Chart: true}, []float64{300, 310, 330}, []float64{500, 520, 510})
	b.add(row{Name: "– a loss that is in the table only", Unit: "s/GB"}, []float64{2, 2}, []float64{1, 1})
	b.add(row{Name: "– a win that is in the table only", Unit: "s/GB"}, []float64{0.02, 0.02}, []float64{1, 1})
	b.add(row{Name: "– no time at all", Unit: "s/GB"}, []float64{0, 0}, []float64{0, 0})
	b.add(row{Name: "– less than the clock tells", Unit: "s/GB"}, []float64{0, 0}, []float64{1, 1})
	b.miss("memory", "MiB", noPSS)
	r.Parts = append(r.Parts, a)
	b.Seconds = 0
	r.Parts = append(r.Parts, b)
	b.Error = "ssh: exit status 255"
	return r
}

func TestReportTable(t *testing.T) {
	var b strings.Builder
	if err := sample().print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.String())
}

func TestReportMarkdown(t *testing.T) { golden(t, "table.md", sample().markdown()) }

func TestReportJSON(t *testing.T) {
	b, err := sample().json()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", string(b))
	var back report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	again, err := back.json()
	if err != nil || string(again) != string(b) {
		t.Errorf("what was read back is written otherwise: %v", err)
	}
}

// The picture is well-formed, has every row that is meant for it and no other,
// and says by a word, too, who loses.
func TestReportChart(t *testing.T) {
	svg := sample().chart()
	golden(t, "ratios.svg", svg)
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(svg, "<rect class=\"") - 1; n != 6 {
		t.Errorf("%d bars, want 6", n)
	}
	if n := strings.Count(svg, ">ssh wins</tspan>"); n != 3 {
		t.Errorf("%d bars are said to be lost, want 3", n)
	}
	for _, want := range []string{"prefers-color-scheme:dark", "of 2 further rows in table.md ssh wins 1"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in the picture", want)
		}
	}
}

func TestChartAxis(t *testing.T) {
	middle := along(1)
	if along(0.5) >= middle || along(2) <= middle {
		t.Error("half is not to the left of 1, or twice not to the right")
	}
	if left, right := middle-along(0.5), along(2)-middle; left-right > 1e-9 || right-left > 1e-9 {
		t.Errorf("half is %v away, twice %v", left, right)
	}
	if along(1000) != along(chartTop) || along(0.00001) != along(1/chartTop) {
		t.Error("what is beyond the axis is drawn beyond it")
	}
}

func TestLosing(t *testing.T) {
	slower, same, faster := []float64{3, 3, 3}, []float64{2, 2, 2}, []float64{1, 1, 1}
	for _, c := range []struct {
		name   string
		ours   []float64
		higher bool
		want   bool
	}{
		{"slower", slower, false, true},
		{"faster", faster, false, false},
		{"same", same, false, false},
		{"higher rate", slower, true, false},
		{"lower rate", faster, true, true},
	} {
		s := &section{}
		s.add(row{HigherIsBetter: c.higher}, c.ours, same)
		if got := s.Rows[0].loses(); got != c.want {
			t.Errorf("%s: loses %v", c.name, got)
		}
	}
	s := &section{}
	s.add(row{}, nil, same)
	if s.Rows[0].loses() || s.Rows[0].Ratio != nil {
		t.Error("a row for scale has a ratio")
	}
}

// A part that is measured again takes the place of what it found before, and the
// others stay. From another machine nothing is taken over.
func TestResultsOfSomeParts(t *testing.T) {
	dir := t.TempDir()
	b := &results{dir: dir}
	was := sample()
	if err := b.save(was, options{}); err != nil {
		t.Fatal(err)
	}
	is := &report{Version: reportVersion, Machine: was.Machine}
	if err := is.resume(filepath.Join(dir, resultJSON)); err != nil {
		t.Fatal(err)
	}
	again := &section{Name: "throughput", Title: "Throughput"}
	again.add(row{Name: "anew", Unit: "MB/s"}, []float64{2}, []float64{1})
	is.end(again, errors.New("and then it failed"))
	if len(is.Parts) != 2 || is.Parts[0].Name != "warm" || len(is.Parts[0].Rows) != 5 || is.Parts[1] != again || again.Error == "" {
		t.Errorf("%d parts: %+v", len(is.Parts), is.Parts)
	}
	other := &report{Version: reportVersion, Machine: was.Machine}
	other.Machine.CPU = "Another"
	if err := other.resume(filepath.Join(dir, resultJSON)); err == nil || len(other.Parts) > 0 {
		t.Errorf("from another machine: %v, %d parts", err, len(other.Parts))
	}
	if err := (&report{}).resume(filepath.Join(dir, "none")); err != nil {
		t.Errorf("nothing to take over: %v", err)
	}
}

// A part that fails is told in the report, and the next one runs.
func TestFailingPart(t *testing.T) {
	l := &lab{dir: t.TempDir()}
	path := filepath.Join(t.TempDir(), "report.json")
	ran := false
	out := os.Stdout
	os.Stdout, _ = os.Open(os.DevNull)
	defer func() { os.Stdout = out }()
	r := &report{}
	measure(l, r, []part{
		{"bad", "Bad", func(_ *lab, s *section, _ options) error {
			s.add(row{Name: "found"}, []float64{1}, []float64{1})
			return errors.New("no more")
		}},
		{"good", "Good", func(*lab, *section, options) error { ran = true; return nil }},
	}, options{json: path}, &results{})
	if !ran || len(r.Parts) != 2 || r.Parts[0].Error != "no more" || len(r.Parts[0].Rows) != 1 {
		t.Errorf("ran %v, %+v", ran, r.Parts)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "no more") {
		t.Errorf("%s: %v", text, err)
	}
}

// A part that hangs is given up, with what it has found if it ends at all.
func TestHangingPart(t *testing.T) {
	for _, ends := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := &lab{dir: t.TempDir()}
			over := make(chan struct{})
			wait := partLimit + time.Second
			if !ends {
				wait = 24 * time.Hour
				defer close(over)
			}
			s, stuck, err := l.bounded(part{"slow", "Slow", func(_ *lab, s *section, _ options) error {
				s.add(row{Name: "found"}, []float64{1}, []float64{1})
				select {
				case <-time.After(wait):
				case <-over:
				}
				return nil
			}}, options{scale: 0.1})
			want := 0
			if ends {
				want = 1
			}
			if stuck == ends || err == nil || len(s.Rows) != want {
				t.Errorf("ends %v: stuck %v, %v, %d rows", ends, stuck, err, len(s.Rows))
			}
		})
	}
}
