// Command tosvg draws what stands on a terminal: it takes what tmux's
// capture-pane -e -p says and gives an SVG, in light or dark as its reader has it.
//
//	tmux capture-pane -e -p | go run ./docs/tosvg -title 'muxd top' >docs/top.svg
//
// It knows the sequences that muxd's own screens have, and fails at any other: a
// picture that lacks something would tell a lie.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	title := flag.String("title", "", "what the picture shows, `TEXT` for those who do not see it")
	columns := flag.Int("columns", 80, "the width of the terminal")
	flag.Parse()
	if err := convert(os.Stdout, os.Stdin, *title, *columns); err != nil {
		fmt.Fprintln(os.Stderr, "tosvg:", err)
		os.Exit(1)
	}
}

func convert(w io.Writer, r io.Reader, title string, columns int) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	text := strings.TrimRight(string(b), "\n")
	if text == "" {
		return errors.New("there is nothing on it")
	}
	lines, err := parse(text)
	if err != nil {
		return err
	}
	for i, line := range lines {
		if len(line) > columns {
			return fmt.Errorf("line %d has %d columns, and the terminal %d", i+1, len(line), columns)
		}
	}
	_, err = io.WriteString(w, draw(lines, title, columns))
	return err
}
