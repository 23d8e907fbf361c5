package netwatch

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childVar makes the test binary the child of startChild; its value is the
// tick. A process of its own, because a network namespace is a thread's, and
// because it is to be stopped.
const childVar = "MUXD_NETWATCH_CHILD"

func TestMain(m *testing.M) {
	if tick, err := time.ParseDuration(os.Getenv(childVar)); err == nil {
		child(tick)
		return
	}
	os.Exit(m.Run())
}

// child prints a line for each event, and for each question on its input the
// answer; it ends with its input.
func child(tick time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	events := start(ctx, slog.New(slog.NewTextHandler(os.Stderr, nil)), tick)
	fmt.Println("ready")
	go func() {
		defer cancel()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			what, of, _ := strings.Cut(in.Text(), " ")
			ip, _ := netip.ParseAddr(of)
			switch what {
			case "network":
				fmt.Printf("answer %q\n", Network())
			case "online":
				fmt.Println("answer", Online())
			case "routed":
				fmt.Println("answer", Routed(ip))
			case "has":
				fmt.Println("answer", HasAddress(ip))
			}
		}
	}()
	for e := range events {
		if e.Kind == Woke {
			fmt.Println("woke", e.Asleep)
		} else {
			fmt.Println("changed")
		}
	}
	fmt.Println("ended")
}

// process is a running child.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	ask     func(question string) // writes to its input
	events  chan event
	answers chan string
}

// event is a line of the child's that is no answer.
type event struct {
	text string
	at   time.Time
}

// startChild runs cmd, which must end up running the test binary.
func startChild(t *testing.T, tick time.Duration, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.Env = append(cmd.Environ(), childVar+"="+tick.String())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, events: make(chan event, 100), answers: make(chan string, 1),
		ask: func(q string) { fmt.Fprintln(in, q) }}
	ended := make(chan bool, 1)
	go func() {
		clean := false
		for s := bufio.NewScanner(out); s.Scan(); {
			if a, ok := strings.CutPrefix(s.Text(), "answer "); ok {
				p.answers <- a
				continue
			}
			clean = s.Text() == "ended"
			p.events <- event{s.Text(), time.Now()}
		}
		ended <- clean
	}()
	t.Cleanup(func() {
		in.Close()
		select {
		case clean := <-ended:
			if !clean {
				t.Error("the child did not end as it should")
			}
		case <-time.After(time.Minute):
			t.Error("the child does not end")
			cmd.Process.Kill()
		}
		cmd.Wait()
	})
	if got := p.next(time.Minute); got != "ready" {
		t.Fatalf("the child says %q", got)
	}
	return p
}

// signal sends STOP, CONT and the like. The process is the child also where a
// program entered a namespace for it: that one became it.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next event within d, or "".
func (p *process) next(d time.Duration) string {
	select {
	case e := <-p.events:
		return e.text
	case <-time.After(d):
		return ""
	}
}

// answer returns the child's answer to a question.
func (p *process) answer(question string) string {
	p.t.Helper()
	p.ask(question)
	select {
	case a := <-p.answers:
		return a
	case <-time.After(time.Minute):
		p.t.Fatalf("no answer to %q", question)
		return ""
	}
}
