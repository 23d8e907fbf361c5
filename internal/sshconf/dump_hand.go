package sshconf

import (
	"strconv"
	"strings"
	"time"
)

// dumpers print the keywords that are like no other.
var dumpers = map[string]func(d *dumper, name string){
	"host":                        func(d *dumper, name string) { d.put(name, d.c.in.Host) },
	"serveraliveinterval":         (*dumper).alive,
	"dynamicforward":              (*dumper).forwards,
	"localforward":                (*dumper).forwards,
	"remoteforward":               (*dumper).forwards,
	"identityfile":                (*dumper).files,
	"certificatefile":             (*dumper).files,
	"globalknownhostsfile":        func(d *dumper, name string) { d.put(name, orElse(d.c.GlobalKnownHostsFiles(), "none")...) },
	"userknownhostsfile":          func(d *dumper, name string) { d.put(name, orElse(d.c.UserKnownHostsFiles(), "none")...) },
	"addkeystoagent":              (*dumper).addKeys,
	"forwardagent":                (*dumper).forwardAgent,
	"canonicalizepermittedcnames": (*dumper).permittedCNAMEs,
	"controlpersist":              (*dumper).persist,
	"escapechar":                  func(d *dumper, name string) { d.put(name, escapeName(d.c.EscapeChar())) },
	"ipqos":                       (*dumper).qos,
	"rekeylimit":                  (*dumper).rekey,
	"proxyjump":                   (*dumper).proxy,
}

func inSeconds(t time.Duration) string { return strconv.Itoa(int(t / time.Second)) }

func (d *dumper) alive(name string) {
	interval, set := d.c.ServerAliveInterval()
	if !set {
		interval = d.offer.ServerAliveInterval
	}
	d.put(name, inSeconds(interval))
}

func (d *dumper) files(name string) {
	files, _ := d.c.Get(name)
	if len(files) == 0 && name == "identityfile" {
		files = defaultIdentities
	}
	for _, f := range files {
		d.put(name, f)
	}
}

func (d *dumper) addKeys(name string) {
	v := d.c.values[name]
	switch {
	case len(v) == 0:
		d.put(name, "false")
	case v[1] == "0":
		d.put(name, trueFalse(v[0]))
	case v[0] == "confirm":
		d.put(name, v...)
	default:
		d.put(name, v[1])
	}
}

func (d *dumper) forwardAgent(name string) {
	on, agent := d.c.ForwardAgent()
	if agent.Configured != "" {
		d.put(name, agent.Configured)
	} else {
		d.put(name, yesNo(on))
	}
}

// permittedCNAMEs has a capital letter in its name, in ssh -G too.
func (d *dumper) permittedCNAMEs(name string) {
	d.put("canonicalizePermittedcnames", orElse(d.c.values[name], "none")...)
}

func (d *dumper) persist(name string) {
	own := d.offer.ControlPersist
	switch v := d.c.str(name); {
	case v != "":
		d.put(name, v)
	case own < 0:
		d.put(name, "yes")
	case own < time.Second:
		d.put(name, "no")
	default:
		d.put(name, inSeconds(own))
	}
}

func (d *dumper) qos(name string) {
	interactive, bulk := d.c.IPQoS()
	d.put(name, qosName(interactive), qosName(bulk))
}

func (d *dumper) rekey(name string) {
	size, interval := d.c.RekeyLimit()
	d.put(name, strconv.FormatInt(size, 10), inSeconds(interval))
}

// proxy prints ProxyJump or, where there is none, ProxyCommand. Of the hops only
// the last one is written anew; the others stand as they were given.
func (d *dumper) proxy(name string) {
	spec := d.c.textOrNone(name)
	if spec == "" {
		if command := d.c.values["proxycommand"]; len(command) > 0 && lowerASCII(command[0]) != "none" {
			d.put("proxycommand", command[0])
		}
		return
	}
	i := strings.LastIndexByte(spec, ',') + 1
	last, err := scanJump(spec[i:])
	if err != nil {
		return // Resolve refused it
	}
	out := spec[:i]
	if last.User != "" {
		out += last.User + "@"
	}
	if looksNumeric(last.Host) && !strings.Contains(last.Host, "%") || strings.Contains(last.Host, ":") {
		out += "[" + last.Host + "]"
	} else {
		out += last.Host
	}
	if last.Port > 0 {
		out += ":" + strconv.Itoa(last.Port)
	}
	d.put(name, out)
}
