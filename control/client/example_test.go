package client_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"muxd/control/client"
)

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
