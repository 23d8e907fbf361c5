package getopt

import (
	"slices"
	"strings"
	"testing"
)

// o writes options as in "p=22 v t", which no test's values need a space in.
func o(words ...string) []Option {
	var opts []Option
	for _, w := range words {
		opts = append(opts, Option{w[0], strings.TrimPrefix(w[1:], "=")})
	}
	return opts
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		opts []Option
		rest []string
		err  string
	}{
		{"nothing", nil, nil, nil, ""},
		{"clusters keep their count", []string{"-vtt", "-v", "h"}, o("v", "t", "t", "v"), []string{"h"}, ""},
		{"attached value", []string{"-p22"}, o("p=22"), nil, ""},
		{"an equals sign is part of the value", []string{"-p=22"}, []Option{{'p', "=22"}}, nil, ""},
		{"value in the next word", []string{"-p", "22", "h"}, o("p=22"), []string{"h"}, ""},
		{"value behind a cluster", []string{"-vp", "22"}, o("v", "p=22"), nil, ""},
		{"value attached to a cluster", []string{"-vp22v"}, o("v", "p=22v"), nil, ""},
		{"the value may look like an option", []string{"-p", "-v", "h"}, o("p=-v"), []string{"h"}, ""},
		{"the value may be two hyphens", []string{"-p", "--", "-v"}, o("p=--", "v"), nil, ""},
		{"the value may be empty", []string{"-p", "", "h"}, o("p"), []string{"h"}, ""},
		{"two hyphens end it and are dropped", []string{"-v", "--", "-t"}, o("v"), []string{"-t"}, ""},
		{"a lone hyphen is a word", []string{"-v", "-", "-t"}, o("v"), []string{"-", "-t"}, ""},
		{"an empty word is a word", []string{"", "-t"}, nil, []string{"", "-t"}, ""},
		{"unknown", []string{"-v", "-z"}, o("v"), nil, `unknown option "-z"`},
		{"unknown in a cluster", []string{"-vz"}, o("v"), nil, `unknown option "-z" in "-vz"`},
		{"a colon is no option", []string{"-:"}, nil, nil, `unknown option "-:"`},
		{"no long options", []string{"--port=22"}, nil, nil, `unknown option "--port=22": ssh has no long`},
		{"quoted safely", []string{"-\x1b[2J"}, nil, nil, `in "-\x1b[2J"`},
		{"value missing", []string{"-vp"}, o("v"), nil, "option -p needs a value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts, rest, err := Parse("vtp:", tt.args)
			if !slices.Equal(opts, tt.opts) {
				t.Errorf("options %v, want %v", opts, tt.opts)
			}
			if err == nil && !slices.Equal(rest, tt.rest) {
				t.Errorf("rest %q, want %q", rest, tt.rest)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-vtp22\n-p\n--\nh\n-t")
	f.Add("-\n--\n-:\n--x\n-p")
	f.Fuzz(func(t *testing.T, words string) {
		args := strings.Split(words, "\n")
		opts, rest, err := Parse("vtp:", args)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error %q would act on a terminal", err)
			}
			return
		}
		if n := len(args) - len(rest); n < 0 || !slices.Equal(args[n:], rest) {
			t.Fatalf("rest %q is no tail of %q", rest, args)
		}
		again, left, err := Parse("vtp:", append(append(canonical(opts), "--"), rest...))
		if err != nil || !slices.Equal(again, opts) || !slices.Equal(left, rest) {
			t.Fatalf("%q: canonical form read as %v %q, %v; want %v %q", args, again, left, err, opts, rest)
		}
	})
}

// canonical writes options one per word, values in the next: the canonical form.
func canonical(opts []Option) (words []string) {
	for _, o := range opts {
		words = append(words, "-"+string(o.Name))
		if at := strings.IndexByte(SSH, o.Name); takesValue(SSH, at) {
			words = append(words, o.Value)
		}
	}
	return words
}
