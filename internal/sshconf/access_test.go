package sshconf

import (
	"crypto/sha1"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// person is a world whose facts do not depend on the machine.
func person(t testing.TB, config string, env map[string]string) *world {
	w := newWorld(t)
	w.in.Home, w.in.LocalUser, w.in.LocalHost, w.in.UID = "/home/me", "me", "box.example.net", 1000
	w.in.Env = func(name string) string { return env[name] }
	w.in.ConfigFile = w.write("config", config)
	return w
}

func TestExpansion(t *testing.T) {
	hash := fmt.Sprintf("%x", sha1.Sum([]byte("box.example.net"+"real.net"+"7"+"bob"+"jump")))
	c := must(t, person(t, `
HostName Real.net
User bob
Port 7
HostKeyAlias Ali
ProxyJump x@first:1,jump
ControlPath ~/%C-%L-%l-%d-%h-%i-%j-%k-%n-%p-%r-%u-%%-${V}
IdentityFile ~/.ssh/%r@%h
IdentityFile "${V}/a b"
CertificateFile %d/c
UserKnownHostsFile ~/kh.%k ${V}
RevokedHostKeys ~/r %d/s
RemoteCommand echo %h ${V} ~
SetEnv A=%u:${V} B=~
KnownHostsCommand /bin/kh "%H of %h" %t ${V} #1
PermitLocalCommand yes
LocalCommand up %T %n ${V}
LocalForward ${V}/l.%h ${V}:80
`, map[string]string{"V": "/v"}).in)
	ids, _ := c.IdentityFiles()
	kh, err := c.KnownHostsCommand(map[byte]string{'H': "[a]:1", 't': "ssh-rsa", 'h': "never"})
	local, _ := c.LocalCommand("tun0")
	got := map[string]any{
		"host": c.HostName(), "hash": c.Hash(), "path": c.ControlPath(), "ids": ids, "certs": c.CertificateFiles(),
		"known": c.UserKnownHostsFiles(), "revoked": c.RevokedHostKeys(), "remote": c.RemoteCommand(), "env": c.SetEnv(),
		"khc": kh, "local": local, "err": err, "listen": c.LocalForwards()[0].ListenPath,
	}
	want := map[string]any{
		"host": "real.net", "hash": hash,
		"path": "/home/me/" + hash + "-box-box.example.net-/home/me-real.net-1000-jump-ali-web1-7-bob-me-%-/v",
		"ids":  []File{{"/home/me/.ssh/bob@real.net", true}, {"/v/a b", true}}, "certs": []File{{"/home/me/c", true}},
		"known": []string{"/home/me/kh.ali", "/v"}, "revoked": []string{"/home/me/r", "/home/me/s"},
		"remote": "echo real.net ${V} ~", "env": []string{"A=me:/v", "B=~"},
		"khc": []string{"/bin/kh", "[a]:1 of real.net", "ssh-rsa", "/v", "#1"}, "local": "up tun0 web1 ${V}", "err": nil, "listen": "/v/l.real.net",
	}
	for key := range want {
		if !reflect.DeepEqual(got[key], want[key]) {
			t.Errorf("%s: got %#v, want %#v", key, got[key], want[key])
		}
	}
	if raw, set := c.Get("ControlPath"); !set || !strings.HasPrefix(raw[0], "~/%C") {
		t.Errorf("Get: %q %v", raw, set)
	}
}

func TestExpansionFails(t *testing.T) {
	for config, part := range map[string]string{
		"ControlPath /tmp/${NONE}":     "controlpath: environment variable ${NONE} has no value",
		"IdentityFile /tmp/${NONE}":    "identityfile: environment variable ${NONE} has no value",
		"UserKnownHostsFile /tmp/${x":  "userknownhostsfile: ",
		"ControlPath /tmp/%Z":          "unknown token %Z",
		"ControlPath /tmp/%":           "write %% for a percent sign",
		"HostName %n":                  "hostname: ",
		"User %r":                      "user: ",
		"User %C":                      "user: ",
		"ProxyCommand nc %C":           "proxycommand: ",
		"IdentityAgent ${}":            "line 1: Invalid environment expansion ${}.",
		"ForwardAgent /tmp/${NONE}":    "line 1: Invalid environment expansion /tmp/${NONE}.",
		"ForwardAgent /tmp/%Z":         "forwardagent: ",
		"LocalForward /tmp/%Z a:1":     "forward ",
		"IdentityFile ~nobody-at-all/": "no such user nobody-at-all",
		"User a%n;":                    "remote username contains invalid characters",
		"ProxyJump %Z":                 "proxyjump: ",
		"Match exec %Z":                "failed to expand match exec",
		"Include /tmp/%Z":              "Include: ",
	} {
		wantError(t, person(t, config, nil).in, part)
	}
}

func TestUserIsExpandedOnlyInFiles(t *testing.T) {
	w := person(t, "User %n.%u.${V}", map[string]string{"V": "v"})
	if c := must(t, w.in); c.User() != "web1.me.v" {
		t.Errorf("user %q", c.User())
	}
	w.in.Options = []Setting{{Keyword: "User", Value: "%n", Literal: true}}
	if c := must(t, w.in); c.User() != "%n" {
		t.Errorf("user %q", c.User())
	}
	w.in.Options = []Setting{{Keyword: "User", Value: "-oProxyCommand=x", Literal: true}}
	wantError(t, w.in, "remote username contains invalid characters")
}

func TestAgents(t *testing.T) {
	env := map[string]string{"SSH_AUTH_SOCK": "/sock", "MINE": "/mine"}
	tests := map[string]Agent{
		"":                                 {AgentDefault, "", "/sock"},
		"IdentityAgent SSH_AUTH_SOCK":      {AgentDefault, "SSH_AUTH_SOCK", "/sock"},
		"IdentityAgent none":               {AgentNone, "none", ""},
		"IdentityAgent ~/a.%u":             {AgentSocket, "/home/me/a.me", "/home/me/a.me"},
		"IdentityAgent $MINE":              {AgentSocket, "$MINE", "/mine"},
		"IdentityAgent $OTHER":             {AgentNone, "$OTHER", ""},
		"IdentityAgent ${MINE}":            {AgentSocket, "/mine", "/mine"},
		"IdentityAgent \"${MINE}/a b/%r\"": {AgentSocket, "/mine/a b/me", "/mine/a b/me"},
	}
	for config, want := range tests {
		if got := must(t, person(t, config, env).in).IdentityAgent(); got != want {
			t.Errorf("%s: %+v", config, got)
		}
	}
	on, agent := must(t, person(t, "ForwardAgent $MINE", env).in).ForwardAgent()
	if !on || agent.Socket != "/mine" {
		t.Errorf("ForwardAgent: %v %+v", on, agent)
	}
	on, agent = must(t, person(t, "ForwardAgent yes", env).in).ForwardAgent()
	if !on || agent != (Agent{AgentDefault, "", "/sock"}) {
		t.Errorf("ForwardAgent: %v %+v", on, agent)
	}
}

func TestProxies(t *testing.T) {
	c := must(t, person(t, "ProxyCommand nc -X %% %h %p %r %n %k | x", nil).in)
	if got := c.ProxyCommand(); got != "nc -X % web1 22 me web1 web1 | x" || c.ProxyJump() != nil {
		t.Errorf("command %q, jumps %v", got, c.ProxyJump())
	}
	c = must(t, person(t, "ProxyJump ssh://a%40b;x=1@one:7/, %r@[fe80::1],three:9", nil).in)
	want := []Jump{{"a@b", "one", 7}, {" me", "fe80::1", 0}, {"", "three", 9}}
	if got := c.ProxyJump(); !slices.Equal(got, want) || c.ProxyCommand() != "" {
		t.Errorf("command %q, jumps %+v", c.ProxyCommand(), got)
	}
	for _, bad := range []string{"a,", "@a", "a:0", "a:x", "[a", "[a]b", "ssh://", "ssh://h/p", "ssh://@h"} {
		wantError(t, person(t, "ProxyJump "+bad, nil).in, "Invalid ProxyJump")
	}
	w := person(t, "", nil)
	w.in.Options = []Setting{{Keyword: "ProxyJump", Value: "-x", Origin: "-J", Literal: true}}
	wantError(t, w.in, "-J line 0: Invalid ProxyJump \"-x\"")
}

func TestFlagsAreLiteral(t *testing.T) {
	w := person(t, "", nil)
	w.in.Options = []Setting{
		{Keyword: "IdentityFile", Value: "my \"key\" # 1", Literal: true},
		{Keyword: "LocalForward", Value: "8080:[::1]:80", Literal: true},
		{Keyword: "RemoteForward", Value: "1080", Literal: true},
		{Keyword: "RemoteForward", Value: "h:1081", Literal: true},
		{Keyword: "RemoteForward", Value: "1:a:2", Literal: true},
		{Keyword: "DynamicForward", Value: "h:1080", Literal: true},
	}
	c := must(t, w.in)
	if ids, _ := c.IdentityFiles(); len(ids) != 1 || ids[0].Path != "my \"key\" # 1" {
		t.Errorf("identities %v", ids)
	}
	local, remote := c.LocalForwards(), c.RemoteForwards()
	if len(local) != 2 || local[0].ConnectHost != "::1" || local[0].ConnectPort != 80 || !local[1].Dynamic || local[1].ListenHost != "h" {
		t.Errorf("local %+v", local)
	}
	if len(remote) != 3 || !remote[0].Dynamic || !remote[1].Dynamic || remote[2].Dynamic || remote[2].ConnectPort != 2 {
		t.Errorf("remote %+v", remote)
	}
	if v, set := c.Get("dynamicforward"); !set || !slices.Equal(v, []string{"h:1080"}) {
		t.Errorf("Get: %v %v", v, set)
	}
}

func TestExplicitIsNotSilence(t *testing.T) {
	for config, want := range map[string]struct {
		d   time.Duration
		set bool
	}{
		"": {0, false}, "ServerAliveInterval 0": {0, true}, "ServerAliveInterval none": {0, true},
		"ServerAliveInterval none\nServerAliveInterval 5": {5 * time.Second, true},
	} {
		if d, set := must(t, person(t, config, nil).in).ServerAliveInterval(); d != want.d || set != want.set {
			t.Errorf("%q: %v %v", config, d, set)
		}
	}
	for config, want := range map[string]Persist{
		"": PersistUnset, "ControlPersist no": PersistNo, "ControlPersist 0": PersistForever, "ControlPersist 5": PersistFor,
	} {
		if kind, _ := must(t, person(t, config, nil).in).ControlPersist(); kind != want {
			t.Errorf("%q: %v", config, kind)
		}
	}
}

func TestRequiredRSASizeIsOnlyRaised(t *testing.T) {
	for config, want := range map[string]int{"": 1024, "RequiredRSASize 512": 1024, "RequiredRSASize 3072": 3072} {
		if got := must(t, person(t, config, nil).in).RequiredRSASize(); got != want {
			t.Errorf("%q: %d", config, got)
		}
	}
}

func TestSends(t *testing.T) {
	c := must(t, person(t, "SendEnv LC_* A\nSendEnv -A", nil).in)
	if !c.Sends("LC_ALL") || c.Sends("A") || c.Sends("XLC_") {
		t.Error("wrong variables are sent")
	}
}

func TestCommandAndRemoteCommand(t *testing.T) {
	w := person(t, "RemoteCommand x", nil)
	w.in.Command = "y"
	wantError(t, w.in, "Cannot execute command-line and remote command.")
}

func TestParseOption(t *testing.T) {
	for arg, want := range map[string]Setting{
		"Port 22": {Keyword: "port", Value: "22", Origin: commandLine}, "Port=22": {Keyword: "port", Value: "22", Origin: commandLine},
		" Port = \"22\" ": {Keyword: "port", Value: "\"22\"", Origin: commandLine}, "# x": {Origin: commandLine}, "": {Origin: commandLine},
	} {
		if got, err := ParseOption(arg); err != nil || got != want {
			t.Errorf("%q: %+v %v", arg, got, err)
		}
	}
	if _, err := ParseOption("Port"); err == nil || err.Error() != `command-line line 0: no argument after keyword "port"` {
		t.Errorf("got %v", err)
	}
}
