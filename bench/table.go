package main

import (
	"fmt"
	"io"
	"strings"
)

// print writes the table for people: medians, quartiles, and the ratio with
// its interval. Rows that muxd loses are marked, so that nobody has to look
// for them.
func (r *report) print(w io.Writer) error {
	var b strings.Builder
	b.WriteString(r.Machine.text() + "\n")
	const line = "%-50s %-25s %-25s %-18s %s"
	for _, s := range r.Parts {
		fmt.Fprintf(&b, "\n%s\n", s.origin())
		b.WriteString(strings.TrimRight(fmt.Sprintf(line, s.Title, "muxc and muxd", "ssh -S", "ratio (95 %)", s.freshHead()), " ") + "\n")
		for _, x := range s.Rows {
			text := fmt.Sprintf(line, "  "+x.Name, x.Muxc.text(x.Unit), x.SSH.text(x.Unit), x.Ratio.text(), x.Fresh.freshText(x.Unit))
			b.WriteString(strings.TrimRight(text, " ") + x.remark() + "\n")
		}
		if s.Error != "" {
			fmt.Fprintf(&b, "  no further rows: %s\n", s.Error)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown is the same table for a page.
func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString("<!-- written by go run ./bench -write -->\n# muxc and muxd beside ssh -S\n\n" + r.Machine.text() + "\n\n" +
		"Medians, with the quartiles; the ratio is ours by theirs, with the interval that 95 % of resamplings fall into.\n" +
		"Where muxd loses by the whole interval the ratio is bold. How to read it: [README.md](../README.md).\n")
	for _, s := range r.Parts {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.Title, s.origin())
		fresh := s.freshHead() != ""
		head, rule := "| | muxc and muxd | ssh -S | ratio |", "| --- | --- | --- | --- |"
		if fresh {
			head, rule = head+" fresh ssh |", rule+" --- |"
		}
		b.WriteString(head + "\n" + rule + "\n")
		for _, x := range s.Rows {
			ratio := x.Ratio.text()
			if x.loses() {
				ratio = "**" + ratio + "**"
			}
			if x.Missing != "" {
				ratio = x.Missing
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |", x.Name, x.Muxc.text(x.Unit), x.SSH.text(x.Unit), ratio)
			if fresh {
				b.WriteString(strings.TrimRight(" "+x.Fresh.freshText(x.Unit), " ") + " |")
			}
			b.WriteString("\n")
		}
		if s.Error != "" {
			fmt.Fprintf(&b, "\nNo further rows: %s\n", strings.ReplaceAll(s.Error, "\n", " "))
		}
	}
	return b.String()
}

func (m machine) text() string {
	return fmt.Sprintf("%s, %d × %s; %s; %s; %s; login shell %s", m.System, m.Cores, m.CPU, m.SSH, m.Autossh, m.Go, m.Shell)
}

// origin says of which run a section is.
func (s *section) origin() string {
	return fmt.Sprintf("%s, %.0f s, %s, load %s", s.Time.Format("2006-01-02 15:04 UTC"), s.Seconds, s.Commit, s.Load)
}

// freshHead is the title of the column of ssh without a master, where there is
// one.
func (s *section) freshHead() string {
	for _, x := range s.Rows {
		if x.Fresh != nil {
			return "fresh ssh"
		}
	}
	return ""
}

func (w row) remark() string {
	switch {
	case w.Missing != "":
		return "  " + w.Missing
	case w.loses():
		return "  muxd loses"
	}
	return ""
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

// freshText is the median alone: nobody compares by it.
func (s *spread) freshText(unit string) string {
	if s == nil {
		return ""
	}
	return figure(s.Median) + " " + unit
}

func (i *interval) text() string {
	switch {
	case i == nil:
		return "–"
	case i.Low == i.High:
		return digits(i.Ratio)
	}
	return fmt.Sprintf("%s (%s–%s)", digits(i.Ratio), digits(i.Low), digits(i.High))
}

// digits of a ratio: a small one would be nothing but zeros in two, and of a large
// one none behind the point matter.
func digits(v float64) string {
	switch {
	case v < 0.1:
		return fmt.Sprintf("%.3f", v)
	case v >= 10:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
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
