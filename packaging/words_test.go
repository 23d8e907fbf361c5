package packaging

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// words are the first groups of all matches, sorted, each once.
func words(text, pattern string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// usage is the text that a program prints.
func usage(t *testing.T, program string) string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, "../cmd/"+program+"/main.go"), "const usage = `")
	text, _, ends := strings.Cut(text, "`")
	if !ok || !ends {
		t.Fatal("no usage in " + program)
	}
	return text
}

// Manual, completions and what muxd --help says name the same commands and flags.
func TestCommandsOfMuxd(t *testing.T) {
	said := usage(t, "muxd")
	commands := words(said, `(?m)^(?:usage:|      ) muxd ([a-z]+)\b`)
	commands = slices.DeleteFunc(commands, func(c string) bool { return c == "run" })
	page := read(t, "man/muxd.8")
	for from, got := range map[string][]string{
		"man/muxd.8":            words(page, `(?m)^\.It Cm ([a-z]+)`),
		"completions/_muxd":     words(read(t, "completions/_muxd"), `(?m)^ +'([a-z]+):`),
		"completions/muxd.fish": words(read(t, "completions/muxd.fish"), `__fish_use_subcommand -a ([a-z]+)`),
		"completions/muxd.bash": words(regexp.MustCompile(`words="status.*`).FindString(read(t, "completions/muxd.bash")), `(?:\b|")([a-z]+)\b`),
	} {
		got = slices.DeleteFunc(got, func(c string) bool { return slices.Contains([]string{"words", "version", "help"}, c) })
		if !slices.Equal(got, commands) {
			t.Errorf("%s has the commands %q, muxd --help %q", from, got, commands)
		}
	}
	flags := words(said, `--([a-z][a-z-]+)`)
	for from, got := range map[string][]string{
		"man/muxd.8":            words(page, `(?:Fl|\|) -([a-z][a-z-]+)`),
		"completions/_muxd":     words(read(t, "completions/_muxd"), `'--([a-z-]+)`),
		"completions/muxd.fish": words(read(t, "completions/muxd.fish"), `-l ([a-z-]+)`),
		"completions/muxd.bash": words(read(t, "completions/muxd.bash"), `--([a-z][a-z-]+)`),
	} {
		missing := slices.DeleteFunc(slices.Clone(flags), func(f string) bool {
			return slices.Contains(got, f) || f == "help" || f == "version"
		})
		unknown := slices.DeleteFunc(got, func(f string) bool { return slices.Contains(flags, f) })
		if len(missing)+len(unknown) > 0 {
			t.Errorf("%s: lacks %q, and muxd --help does not know %q", from, missing, unknown)
		}
	}
}

// The manual of muxc names its options, and its synopsis is the usage's.
func TestOptionsOfMuxc(t *testing.T) {
	said := usage(t, "muxc")
	page := read(t, "man/muxc.1")
	flags := words(said, `\[-([0-9A-Za-z]+)\]`)[0]
	if !strings.Contains(page, "\n.Op Fl "+flags+"\n") {
		t.Errorf("man/muxc.1 has not the options %s", flags)
	}
	if got, want := words(page, `(?m)^\.Op Fl ([A-Za-z]) `), words(said, `\[-([A-Za-z]) `); !slices.Equal(got, want) {
		t.Errorf("man/muxc.1 has the options %q, muxc %q", got, want)
	}
}
