package top

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"muxd/control"
	"muxd/internal/table"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// scripted is a muxd that notes what it is asked to do.
type scripted struct{ acts []string }

func (*scripted) Look() Sample { return Sample{} }

func (s *scripted) Act(a Action, h control.HostStatus) Done {
	s.acts = append(s.acts, fmt.Sprintf("%s %s", a, h.ID))
	if a == Recycle {
		return Done{Err: errors.New("the connection was kept")}
	}
	return Done{Text: "done"}
}

// status is what there is after n seconds.
func status(n int) *control.Status {
	at := noon.Add(time.Duration(n) * time.Second)
	st := &control.Status{PID: 7, Build: "1.2.3", Started: noon.Add(-2 * time.Hour), Hosts: []control.HostStatus{
		{ID: "a", Name: "build", User: "me", Addr: "10.0.0.1:22", State: "ready", Since: noon.Add(-time.Hour), Logins: 3, Again: 2, Limit: 10,
			In: int64(n * n * 1000), Out: int64(n * 100),
			Links: []control.LinkStatus{{State: "ready", Since: noon.Add(-time.Hour), Auth: "publickey SHA256:xyz (/home/me/.ssh/id)", LastByte: at.Add(-2 * time.Second),
				RTT: time.Duration(12+n%5) * time.Millisecond}},
			Sessions: []control.SessionStatus{{PID: 41173, Kind: "exec", Since: noon.Add(-time.Minute), In: 10, Out: 2e6, Command: "make -j8 all install DESTDIR=/srv/www/htdocs/staging PREFIX=/usr"},
				{PID: 41180, Kind: "shell", TTY: true, Since: noon.Add(-time.Hour)}},
			Forwards: []control.ForwardStatus{{Forward: control.Forward{Kind: control.ForwardLocal, Listen: control.Endpoint{Host: "localhost", Port: 8080},
				Connect: control.Endpoint{Host: "db", Port: 5432}}, State: control.ForwardActive, Since: noon.Add(-time.Hour), Owners: []int{41173}}}},
		{ID: "b", Name: "日本\x1b[2J", User: "me", Addr: "10.0.0.2:22", State: "waiting", Since: noon, LastErr: "connection\nrefused", Attempt: 3, Next: at.Add(5 * time.Second)},
	}}
	for i := range 8 {
		st.Hosts = append(st.Hosts, control.HostStatus{ID: fmt.Sprint("c", i), Name: fmt.Sprintf("web%d", i), User: "www", Addr: fmt.Sprintf("10.0.1.%d:22", i), State: "idle", Since: noon})
	}
	return st
}

// seen is a view of so many columns and lines that has looked n times.
func seen(s Source, width, height, n int) Model {
	m := send(New(s, false), tea.WindowSizeMsg{Width: width, Height: height})
	for i := range n {
		m = send(m, Sample{At: noon.Add(time.Duration(i) * time.Second), Status: status(i)})
	}
	return m
}

func send(m Model, msgs ...tea.Msg) Model {
	for _, msg := range msgs {
		next, cmd := m.Update(msg)
		m = next.(Model)
		if _, key := msg.(tea.KeyPressMsg); key && cmd != nil {
			if done, ok := cmd().(Done); ok {
				m = send(m, done)
			}
		}
	}
	return m
}

// press is a key by its name.
func press(name string) tea.Msg {
	codes := map[string]rune{"up": tea.KeyUp, "down": tea.KeyDown, "end": tea.KeyEnd, "home": tea.KeyHome, "esc": tea.KeyEscape}
	if c, ok := codes[name]; ok {
		return tea.KeyPressMsg{Code: c}
	}
	if r, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(r[0]), Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: rune(name[0]), Text: name}
}

func TestFramesAreGolden(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 12}, {200, 50}} {
		m := seen(new(scripted), size[0], size[1], 20)
		golden(t, fmt.Sprintf("%dx%d", size[0], size[1]), m)
		golden(t, fmt.Sprintf("%dx%d-asked", size[0], size[1]), send(m, press("s")))
		golden(t, fmt.Sprintf("%dx%d-second", size[0], size[1]), send(m, press("down"), press("r")))
	}
	golden(t, "first", seen(new(scripted), 80, 24, 0))
	gone := send(seen(new(scripted), 80, 24, 3), Sample{At: noon.Add(3 * time.Second), Err: errors.New("muxd is not running")})
	golden(t, "gone", gone)
	golden(t, "back", send(gone, Sample{At: noon.Add(time.Minute), Status: status(1)}))
}

func golden(t *testing.T, name string, m Model) {
	t.Helper()
	path, got := "testdata/"+name+".txt", m.Frame()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, want)
	}
}

// Whatever the terminal's size, a frame is no larger, and nothing that was told
// by others gets through to it.
func TestFramesFit(t *testing.T) {
	m := seen(new(scripted), 80, 24, 5)
	for width := 1; width < 130; width += 3 {
		for height := 1; height < 40; height++ {
			m = send(m, tea.WindowSizeMsg{Width: width, Height: height}, press("down"))
			frame := m.Frame()
			if strings.ContainsAny(frame, "\x1b\r") {
				t.Fatalf("%q", frame)
			}
			lines := strings.Split(frame, "\n")
			if len(lines) > height {
				t.Fatalf("%d lines in %d x %d:\n%s", len(lines), width, height, frame)
			}
			for _, l := range lines {
				if n := table.Width(l); n > width && width >= 40 {
					t.Fatalf("%d columns in %d x %d: %s", n, width, height, l)
				}
			}
		}
	}
}

// Every key does what the foot says, to the host that is marked.
func TestKeys(t *testing.T) {
	for keys, want := range map[string]string{
		"r": "reconnect a", "c": "recycle a", "down r": "reconnect b", "j k up c": "recycle a", "end c": "recycle c7", "G home r": "reconnect a",
		"s": "", "s n": "", "s q": "", "s r": "", "s y": "stop a", "down s y": "stop b", "s n y": "", "y": "",
	} {
		s := new(scripted)
		m := seen(s, 80, 24, 2)
		for _, k := range strings.Fields(keys) {
			m = send(m, press(k))
		}
		if got := strings.Join(s.acts, ", "); got != want {
			t.Errorf("%s: %q, want %q", keys, got, want)
		}
	}
	for _, k := range []string{"q", "esc", "ctrl+c"} {
		if _, cmd := seen(new(scripted), 80, 24, 1).Update(press(k)); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not end it", k)
		}
	}
	if _, cmd := send(seen(new(scripted), 80, 24, 1), press("s")).Update(press("ctrl+c")); cmd == nil || cmd() != tea.Quit() {
		t.Error("^C at a question does not end it")
	}
}

// A question is about the host that was marked: where that goes, so does the
// question.
func TestQuestionGoesWithItsHost(t *testing.T) {
	s := new(scripted)
	m := send(seen(s, 80, 24, 1), press("s"))
	st := status(1)
	st.Hosts = st.Hosts[1:]
	if send(m, Sample{At: noon, Status: st}, press("y")); len(s.acts) > 0 {
		t.Errorf("%v", s.acts)
	}
}

// There is one question at a time on its way to muxd.
func TestOneLookAtATime(t *testing.T) {
	m := New(new(scripted), false)
	if m.Init() == nil {
		t.Error("it does not begin to look")
	}
	for _, msg := range []tea.Msg{press("r"), tea.WindowSizeMsg{Width: 9, Height: 9}, Done{}, press("down")} {
		if _, cmd := m.Update(msg); cmd != nil {
			t.Errorf("%T has it look", msg)
		}
	}
	if _, cmd := m.Update(Sample{}); cmd == nil {
		t.Error("after an answer it looks no more")
	}
	if _, cmd := m.Update(again{}); cmd == nil {
		t.Error("it is time, and it does not look")
	}
}

func TestRates(t *testing.T) {
	p := new(past)
	h := &control.HostStatus{In: 1000, Links: []control.LinkStatus{{RTT: time.Millisecond}}}
	p.add(noon, h)
	if p.inRate >= 0 {
		t.Error("a rate from one sample")
	}
	h.In, h.Out = 5000, 100
	p.add(noon.Add(2*time.Second), h)
	if p.inRate != 2000 || p.outRate != 50 || p.rates[1] != 2050 || p.rtt[1] != 1 {
		t.Errorf("%+v", p)
	}
	h.In = 10 // another muxd
	p.add(noon.Add(3*time.Second), h)
	if p.inRate >= 0 || p.outRate >= 0 {
		t.Errorf("%+v", p)
	}
	for range 2 * kept {
		p.add(noon, h)
	}
	if len(p.rates) != kept || len(p.rtt) != kept {
		t.Errorf("%d samples are kept", len(p.rates))
	}
	for i := range forgotten {
		if gone := p.gap(noon); gone != (i == forgotten-1) {
			t.Errorf("after %d: %v", i, gone)
		}
	}
}

// What keeps commands from beginning stands where it is seen, on a screen of any
// size.
func TestLockedAndDraining(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 12}, {20, 5}} {
		m := seen(new(scripted), size[0], size[1], 2)
		at := noon.Add(3 * time.Minute)
		st := status(2)
		st.Locked, st.Drains = noon, true
		m = send(m, Sample{At: at, Status: st})
		lines := strings.Split(m.Frame(), "\n")
		if len(lines) > size[1] || !strings.HasPrefix(lines[1], "locked for 3m") || !strings.HasPrefix(lines[2], "draining: it takes") {
			t.Errorf("%v:\n%s", size, m.Frame())
		}
		for _, line := range lines {
			if table.Width(line) > size[0] {
				t.Errorf("%v: %q is too wide", size, line)
			}
		}
		st = status(3)
		if m = send(m, Sample{At: at, Status: st}); strings.Contains(m.Frame(), "locked") {
			t.Errorf("it is unlocked again:\n%s", m.Frame())
		}
	}
}
