package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"muxd/packaging"
)

// service is how a service manager has muxd: files, and the commands that have
// the manager see them. Nothing needs it, since muxc starts muxd by itself; it is
// for those who want muxd under systemd's or launchd's eyes, and so that it
// outlives the session that started it.
type service struct {
	files  []serviceFile
	enable [][]string // after the files are there
	forget [][]string // before they go
	reload [][]string // after they went
}

type serviceFile struct{ path, text string }

// systemdUser are muxd.socket and muxd.service in a user's own directory of
// units. program is the path of muxd.
func systemdUser(config, program string) (service, error) {
	s := service{
		enable: [][]string{{"systemctl", "--user", "daemon-reload"}, {"systemctl", "--user", "enable", "--now", "muxd.socket"}},
		forget: [][]string{{"systemctl", "--user", "disable", "--now", "muxd.socket", "muxd.service"}},
		reload: [][]string{{"systemctl", "--user", "daemon-reload"}},
	}
	quoted, err := unitWord(program)
	if err != nil {
		return s, err
	}
	for _, name := range []string{"muxd.socket", "muxd.service"} {
		b, err := packaging.Systemd.ReadFile("systemd/" + name)
		if err != nil {
			return s, err
		}
		text := strings.ReplaceAll(string(b), "ExecStart="+packaging.Program, "ExecStart="+quoted)
		s.files = append(s.files, serviceFile{filepath.Join(config, "systemd", "user", name), text})
	}
	return s, nil
}

// unitWord is a path as ExecStart takes it: quoted, with the specifiers of units
// and the variables of command lines escaped (systemd.service(5)).
func unitWord(path string) (string, error) {
	if !filepath.IsAbs(path) || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%q is no path for a unit", path)
	}
	path = strings.NewReplacer("%", "%%", "$", "$$").Replace(path)
	if strings.ContainsAny(path, " \"'\\;") {
		path = strconv.Quote(path)
	}
	return path, nil
}

// launchAgent is the agent of launchd in a user's own directory.
func launchAgent(home, program string, uid int) (service, error) {
	b, err := packaging.Launchd.ReadFile("launchd/muxd.plist")
	if err != nil {
		return service{}, err
	}
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(program)
	path := filepath.Join(home, "Library", "LaunchAgents", "muxd.plist")
	domain := fmt.Sprintf("gui/%d", uid)
	return service{
		files:  []serviceFile{{path, strings.ReplaceAll(string(b), packaging.Program, escaped)}},
		enable: [][]string{{"launchctl", "bootstrap", domain, path}},
		forget: [][]string{{"launchctl", "bootout", domain + "/muxd"}},
	}, nil
}

// print shows what install would write and run.
func (s service) print(w io.Writer) {
	for _, f := range s.files {
		fmt.Fprintf(w, "# %s\n%s\n", f.path, f.text)
	}
	printCommands(w, s.enable)
}

// printBack shows what uninstall would run.
func (s service) printBack(w io.Writer) {
	printCommands(w, s.forget)
	for _, f := range s.files {
		fmt.Fprintf(w, "$ rm %s\n", f.path)
	}
	printCommands(w, s.reload)
}

func printCommands(w io.Writer, commands [][]string) {
	for _, c := range commands {
		fmt.Fprintf(w, "$ %s\n", strings.Join(c, " "))
	}
}

// install writes the files and has the manager take them. A file that is there
// and says something else is kept beside it: somebody may have changed it.
func (s service) install(w io.Writer, run func([]string) error) error {
	for _, f := range s.files {
		path, old, err := oldText(f.path)
		switch {
		case err == nil && string(old) == f.text:
			fmt.Fprintf(w, "%s is there already\n", f.path)
			continue
		case err == nil:
			backup := path + ".before-muxd"
			if err := replaceText(backup, old, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(w, "kept the old file as %s\n", backup)
		case !errors.Is(err, os.ErrNotExist):
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := replaceText(path, []byte(f.text), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(w, "wrote %s\n", path)
	}
	return runAll(w, s.enable, run)
}

// uninstall is the way back. A file that is not ours word for word stays.
func (s service) uninstall(w io.Writer, run func([]string) error) error {
	var ours []string
	for _, f := range s.files {
		old, err := os.ReadFile(f.path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			fmt.Fprintf(w, "%s is not there\n", f.path)
		case err != nil:
			return err
		case string(old) != f.text:
			fmt.Fprintf(w, "%s was changed since, or is another muxd's: it stays\n", f.path)
		default:
			ours = append(ours, f.path)
		}
	}
	if len(ours) == 0 {
		return nil
	}
	if err := runAll(w, s.forget, run); err != nil {
		fmt.Fprintf(w, "%v\n", err) // it need not be enabled, and the files go all the same
	}
	for _, path := range ours {
		if err := os.Remove(path); err != nil {
			return err
		}
		fmt.Fprintf(w, "removed %s\n", path)
	}
	return runAll(w, s.reload, run)
}

func runAll(w io.Writer, commands [][]string, run func([]string) error) error {
	for _, c := range commands {
		fmt.Fprintf(w, "$ %s\n", strings.Join(c, " "))
		if err := run(c); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(c, " "), err)
		}
	}
	return nil
}

// runCommand runs one of a service manager's own commands.
func runCommand(c []string) error {
	cmd := exec.Command(c[0], c[1:]...)
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}
