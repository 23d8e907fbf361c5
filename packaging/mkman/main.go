// Command mkman makes muxd_config(5) of docs/keywords.md, which is the one
// source of both:
//
//	go run ./packaging/mkman
//
// A test fails while the page in packaging/man is not what it would write.
package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

const (
	source = "docs/keywords.md"
	page   = "packaging/man/muxd_config.5"
)

func main() {
	b, err := os.ReadFile(source)
	if err == nil {
		var text string
		if text, err = configPage(string(b)); err == nil {
			err = os.WriteFile(page, []byte(text), 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkman:", err)
		os.Exit(1)
	}
}

const head = `.\" Made of docs/keywords.md by "go run ./packaging/mkman".
.Dd November 29, 2026
.Dt MUXD_CONFIG 5
.Os
.Sh NAME
.Nm muxd_config
.Nd keywords of muxd's own for ssh's configuration
.Sh SYNOPSIS
.Nm ~/.config/muxd/config
.Sh DESCRIPTION
`

const middle = `.Pp
The keywords are:
.Bl -tag -width Ds
`

const foot = `.El
.Sh FILES
.Bl -tag -width Ds
.It Pa $XDG_CONFIG_HOME/muxd/config , ~/.config/muxd/config
.El
.Sh SEE ALSO
.Xr ssh_config 5 ,
.Xr muxc 1 ,
.Xr muxd 8
`

// configPage is the manual page of a keywords.md: the paragraph before its
// table, and an entry for each row.
func configPage(md string) (string, error) {
	_, md, ok := strings.Cut(md, "\n\n")
	intro, table, found := strings.Cut(md, "\n\n| keyword | value | unset | what it does |\n| --- | --- | --- | --- |\n")
	if !ok || !found {
		return "", fmt.Errorf("%s has no table of keywords", source)
	}
	var b strings.Builder
	b.WriteString(head)
	prose(&b, intro)
	b.WriteString(middle)
	for row := range strings.Lines(table) {
		row = strings.TrimSuffix(strings.TrimSpace(row), "|")
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			if strings.HasPrefix(row, "|") {
				return "", fmt.Errorf("a row of %d cells: %s", len(cells)-1, row)
			}
			break // the table's end
		}
		var names []string
		for _, name := range strings.Split(cells[1], ",") {
			names = append(names, strings.Trim(name, " `"))
		}
		fmt.Fprintf(&b, ".It Cm %s\n", strings.Join(names, " , "))
		text := strings.TrimSpace(cells[4])
		prose(&b, strings.ToUpper(text[:1])+text[1:]+".")
		prose(&b, "The value is "+strings.TrimSpace(cells[2])+"; unset: "+strings.TrimSpace(cells[3])+".")
	}
	b.WriteString(foot)
	return b.String(), nil
}

var (
	link = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
	code = regexp.MustCompile("`([^`]*)`")
)

// prose writes Markdown as text of mdoc(7): a line for each sentence, and what
// would be a request at its beginning made none.
func prose(b *strings.Builder, md string) {
	md = link.ReplaceAllString(strings.Join(strings.Fields(md), " "), "$1")
	md = strings.ReplaceAll(md, `\`, `\e`)
	md = code.ReplaceAllString(md, `\fB$1\fR`)
	for line := range strings.SplitSeq(strings.ReplaceAll(md, ". ", ".\n"), "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		b.WriteString(line + "\n")
	}
}
