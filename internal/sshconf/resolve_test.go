package sshconf

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

func (tc *testCase) world(t testing.TB) *world {
	w := newWorld(t)
	w.in.ConfigFile = w.write("config", tc.config)
	for name, text := range tc.files {
		w.write(name, text)
	}
	if tc.host != "" {
		w.in.Host = tc.host
	}
	w.options(tc.options)
	return w
}

func (tc *testCase) failure(w *world) []string {
	var lines []string
	for _, s := range tc.fails {
		s = strings.ReplaceAll(s, "FILE", w.in.ConfigFile)
		lines = append(lines, strings.ReplaceAll(s, "DIR", w.dir))
	}
	return lines
}

func TestResolve(t *testing.T) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			w := tc.world(t)
			got, err := w.resolve()
			if tc.fails != nil {
				var e *Error
				if !errors.As(err, &e) || !slices.Equal(e.Lines, tc.failure(w)) {
					t.Fatalf("got error:\n%v\nwant:\n%s", err, strings.Join(tc.failure(w), "\n"))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range tc.want {
				if got[key] != want {
					t.Errorf("%s: got %q, want %q", key, got[key], want)
				}
			}
		})
	}
}

// TestResolveAsSSH holds the table to the installed ssh: values and, line for
// line, complaints.
func TestResolveAsSSH(t *testing.T) {
	ssh := sshtest.Program(t, "ssh")
	newWorld(t).asSSH(ssh)
	for _, tc := range cases {
		if tc.ahead && !theSSH.newest {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			w := tc.world(t)
			w.asSSH(ssh)
			ours, err := w.resolve()
			theirs, refusal := w.ask(ssh, tc.options)
			if refusal != nil {
				if err == nil || !slices.Equal(strings.Split(err.Error(), "\n"), refusal) {
					t.Fatalf("got error:\n%v\nssh says:\n%s", err, strings.Join(refusal, "\n"))
				}
				return
			}
			if err != nil {
				t.Fatalf("got error:\n%v\nssh has none", err)
			}
			if diff := compare(ours, theirs); diff != "" {
				t.Error(diff)
			}
		})
	}
}
