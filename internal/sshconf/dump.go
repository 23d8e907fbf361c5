package sshconf

import (
	"io"
	"strings"
)

// Dump writes the configuration in the format and order of ssh -G, one keyword a
// line, as OpenSSH 10.5 built with GSSAPI does. The names of choices are the
// words that ssh prints, not always those that people write (true for yes). It
// fails where no algorithm of a configured list is offered, as ssh -G does.
func (c *Config) Dump(w io.Writer, o Offer) error {
	d := &dumper{c: c, offer: &o}
	for _, row := range dumpRows {
		if err := d.row(row); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, d.out.String())
	return err
}

type dumper struct {
	c     *Config
	offer *Offer
	out   strings.Builder
}

func (d *dumper) put(name string, values ...string) {
	d.out.WriteString(name)
	for _, v := range values {
		d.out.WriteByte(' ')
		d.out.WriteString(v)
	}
	d.out.WriteByte('\n')
}

// style is how ssh prints the value of a keyword.
type style int

const (
	plain    style = iota // the value or its default
	boolean               // likewise, with true and false for yes and no
	optional              // only where it is set
	textual               // likewise, and not where it is none
	list                  // algorithms
	lines                 // a line for each value
	oneLine               // all values on one line, the default if there are none
	byHand                // by a function of its own, in dumpers
)

func (d *dumper) row(r dumpRow) error {
	v := d.c.values[r.name]
	switch r.style {
	case plain:
		d.put(r.name, d.c.choice(r.name, r.def))
	case boolean:
		d.put(r.name, trueFalse(d.c.choice(r.name, r.def)))
	case optional, textual:
		if len(v) > 0 && (r.style == optional || d.c.textOrNone(r.name) == v[0]) {
			d.put(r.name, v[0])
		} else if r.def != "" && len(v) == 0 {
			d.put(r.name, r.def)
		}
	case lines:
		for _, s := range v {
			d.put(r.name, s)
		}
	case oneLine:
		d.put(r.name, orElse(v, r.def)...)
	case list:
		return d.algorithms(r.name)
	default:
		dumpers[r.name](d, r.name)
	}
	return nil
}

func (d *dumper) algorithms(name string) error {
	a := d.offer.algorithms(name)
	if a.Default == nil && a.All == nil {
		return nil
	}
	names, err := d.c.list(name, a.Default, a.All)
	if err == nil {
		d.put(name, strings.Join(names, ","))
	}
	return err
}

// orElse is a list, or the word for an empty one; none, alone, is empty.
func orElse(list []string, word string) []string {
	if len(list) == 0 || len(list) == 1 && lowerASCII(list[0]) == "none" && word == "none" {
		return []string{word}
	}
	return list
}

// trueFalse is what ssh -G prints for yes and no of a keyword that has more
// than these two.
func trueFalse(s string) string {
	switch s {
	case "yes":
		return "true"
	case "no":
		return "false"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
