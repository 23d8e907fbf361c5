package sshtest

import (
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func answers(list ...string) ssh.AuthMethod {
	return ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		n := min(len(list), len(questions))
		mine := list[:n]
		list = list[n:]
		return mine, nil
	})
}

func TestAuth(t *testing.T) {
	good, bad := NewKey(), NewKey()
	keys := []ssh.PublicKey{good.PublicKey()}
	rounds := []Round{
		{Instruction: "one", Questions: []Question{{Text: "Password: ", Answer: "p"}}},
		{Instruction: "two", Questions: []Question{{Text: "Code: ", Echo: true, Answer: "c"}}},
	}
	for _, test := range []struct {
		name   string
		opts   Options
		client []ssh.AuthMethod
		ok     bool
	}{
		{"nothing required", Options{}, nil, true},
		{"nothing given", Options{Password: "p"}, nil, false},
		{"key", Options{AuthorizedKeys: keys}, []ssh.AuthMethod{ssh.PublicKeys(bad, good)}, true},
		{"wrong key", Options{AuthorizedKeys: keys}, []ssh.AuthMethod{ssh.PublicKeys(bad)}, false},
		{"password", Options{Password: "p"}, []ssh.AuthMethod{ssh.Password("p")}, true},
		{"wrong password", Options{Password: "p"}, []ssh.AuthMethod{ssh.Password("q")}, false},
		{"interactive", Options{Interactive: rounds}, []ssh.AuthMethod{answers("p", "c")}, true},
		{"wrong code", Options{Interactive: rounds}, []ssh.AuthMethod{answers("p", "x")}, false},
		{"no code", Options{Interactive: rounds}, []ssh.AuthMethod{answers("p")}, false},
		{"either", Options{AuthorizedKeys: keys, Password: "p"}, []ssh.AuthMethod{ssh.Password("p")}, true},
		{
			"both", Options{AuthorizedKeys: keys, Interactive: rounds, AuthMethods: []string{"publickey", "keyboard-interactive"}},
			[]ssh.AuthMethod{ssh.PublicKeys(good), answers("p", "c")}, true,
		},
		{
			"only one of both", Options{AuthorizedKeys: keys, Password: "p", AuthMethods: []string{"publickey", "password"}},
			[]ssh.AuthMethod{ssh.PublicKeys(good)}, false,
		},
		{
			"second before first", Options{AuthorizedKeys: keys, Password: "p", AuthMethods: []string{"publickey", "password"}},
			[]ssh.AuthMethod{ssh.Password("p")}, false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := NewServer(test.opts)
				defer s.Close()
				c, err := login(s, test.client...)
				if (err == nil) != test.ok {
					t.Fatalf("login: %v\n%s", err, s.Dump())
				}
				if err == nil {
					s.Wait(t.Context(), 1, LoggedIn, "user") // the server learns of it a little later
					c.Close()
				}
				if got := s.Logins() == 1; got != test.ok {
					t.Errorf("recorded %t\n%s", got, s.Dump())
				}
			})
		})
	}
}

func TestAuthIsRecorded(t *testing.T) {
	good, bad := NewKey(), NewKey()
	bubble(t, func(t *testing.T) {
		s := NewServer(Options{AuthorizedKeys: []ssh.PublicKey{good.PublicKey()}, AuthDelay: time.Second})
		defer s.Close()
		start := time.Now()
		c, err := login(s, ssh.PublicKeys(bad, good))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("two offers took %v", d)
		}
		offers := s.Events(KeyOffered)
		if len(offers) != 2 || offers[0].OK || !offers[1].OK || offers[1].Name != "user" ||
			offers[1].Text != ssh.FingerprintSHA256(good.PublicKey()) {
			t.Error(s.Dump())
		}
		if s.Count(AuthTried, "none") != 1 || s.Count(AuthTried, "publickey") != 2 {
			t.Error(s.Dump())
		}
	})
}

func TestBannerComesBeforeAuth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer(Options{Banner: "be good\n", Password: "p"})
		defer s.Close()
		conn, _ := s.Dial(t.Context())
		var shown string
		ssh.NewClientConn(conn, "", &ssh.ClientConfig{
			HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			BannerCallback:  func(text string) error { shown = text; return nil },
		})
		if shown != "be good\n" {
			t.Errorf("banner %q", shown)
		}
		conn.Close()
	})
}
