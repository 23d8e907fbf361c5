package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"muxd/control"
	"muxd/control/client"
	"muxd/internal/sshtest"
)

// A command, its output, and the three ways in which it can fail.
func ExampleClient_Command() {
	defer open(sshtest.Options{}).close() // for this example; else muxd is found, or started

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := client.New("build-host").Command(ctx, "echo made; stderr 1 warning; exit 2").Output()

	var exit *client.ExitError
	switch {
	case err == nil:
		fmt.Printf("%s", out)
	case errors.As(err, &exit):
		fmt.Printf("%s%sstatus %d\n", out, exit.Stderr, exit.ExitCode())
	case client.MayHaveRun(err):
		fmt.Println("somebody has to look:", err)
	default:
		fmt.Println("nothing ran, so it can be given again:", err)
	}
	// Output:
	// made
	// 1 warning
	// status 2
}

// A command that is given input, and whose output is read, while it runs.
func ExampleCmd_Start() {
	defer open(sshtest.Options{}).close() // for this example; else muxd is found, or started

	cmd := client.New("host").Command(context.Background(), "cat")
	cmd.Env = []string{"LANG=C.UTF-8"}
	in, err := cmd.StdinPipe()
	if err != nil {
		panic(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		fmt.Println(err) // wraps a *control.Error
		return
	}
	lines := bufio.NewScanner(out)
	for _, word := range []string{"one", "two"} {
		fmt.Fprintln(in, word)
		lines.Scan()
		fmt.Println("it says", lines.Text())
	}
	in.Close()
	for lines.Scan() { // to the end, before Wait
	}
	fmt.Println(lines.Err(), cmd.Wait())
	// Output:
	// it says one
	// it says two
	// <nil> <nil>
}

// Whatever runs on a reader and a writer, over a subsystem of the server.
func ExampleClient_Subsystem() {
	defer open(sshtest.Options{}).close() // for this example; else muxd is found, or started

	cmd := client.New("host").Subsystem(context.Background(), "sftp")
	in, err := cmd.StdinPipe()
	if err != nil {
		panic(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return
	}
	files, err := sftp.NewClientPipe(out, in)
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := files.Create("/note")
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := io.Copy(f, strings.NewReader("a note"))
	f.Close()
	fmt.Println(n, err)
	in.Close()
	files.Close()
	fmt.Println(cmd.Wait())
	// Output:
	// 6 <nil>
	// <nil>
}

// Everything that the host "bastion" can reach, by an ordinary http.Client. The
// connection to bastion is muxd's, and so is there already, and comes back after
// an outage.
func ExampleClient_DialContext() {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello from behind bastion")
	}))
	defer behind.Close()
	defer new(muxd).start().stop() // for this example; else muxd is found, or started

	bastion := client.New("bastion")
	transport := &http.Transport{DialContext: bastion.DialContext}
	defer transport.CloseIdleConnections()

	r, err := (&http.Client{Transport: transport}).Get(behind.URL)
	if err != nil {
		fmt.Println(err) // a *net.OpError, and in it a *control.Error
		return
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	fmt.Println(string(body), err)
	// Output: hello from behind bastion <nil>
}

// Waiting until a host has a connection.
func ExampleClient_Events() {
	defer open(sshtest.Options{}).close() // for this example; else muxd is found, or started
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	host := client.New("host")
	go host.Command(ctx, "true").Run() // it makes one
	for e, err := range host.Events(ctx, 0) {
		switch {
		case err != nil:
			fmt.Println(err) // ctx has ended, or muxd
		case e.Kind == control.EventHost && e.To == "ready":
			fmt.Println(e.Host, "is", e.To)
			return
		}
	}
	// Output: host is ready
}

// What muxd holds, for a program to look at.
func ExampleStatus() {
	defer open(sshtest.Options{}).close() // for this example
	ctx := context.Background()

	client.New("host").Command(ctx, "true").Run()
	st, err := client.Status(ctx)
	if errors.Is(err, client.ErrNotRunning) {
		fmt.Println("no muxd runs, and so there is no connection")
		return
	} else if err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range st.Hosts {
		fmt.Println(h.Name, h.State, h.Logins)
	}
	// Output: host ready 1
}
