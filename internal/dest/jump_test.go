package dest

import (
	"slices"
	"testing"
)

// A hop has its own configuration: where it is, whom it logs in as, and that
// nothing stands before it.
func TestAHopsOwnConfiguration(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host bastion\n HostName gate.example\n Port 2222\n User guard\n ProxyJump none\nHost *\n ProxyJump bastion\n User me2\n")
		d := r.request("inside", "true").Dest.(*Destination)
		if d.User != "me2" || d.Via == nil || d.Via.Addr() != "gate.example:2222" || d.Via.User != "guard" || d.Via.Via != nil {
			t.Errorf("%+v by %+v", d, d.Via)
		}
		d = r.request("-J", "none", "inside", "true").Dest.(*Destination)
		if d.Via != nil {
			t.Error("-J none does not go directly")
		}
		d = r.request("-l", "root", "-p", "99", "-oProxyUseFdpass=yes", "inside", "true").Dest.(*Destination)
		if d.User != "root" || d.Port != 99 || d.Via.User != "guard" || d.Via.Port != 2222 {
			t.Errorf("the command line of %s@%s changes its hop %s@%s", d.User, d.Addr(), d.Via.User, d.Via.Addr())
		}
	})
}

// The names of a list of hops are read twice and mean the same each time.
func TestHopsAreWrittenAsTheyWereRead(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host inside\n ProxyJump u@dom@a:2200,50%%x@[fe80::1%%eth0],ssh://a%2Cb%40c@h:3,c\n")
		want := []string{"me@inside:22", "me@c:22", "a,b@c@h:3", "50%x@[fe80::1%eth0]:22", "u@dom@a:2200"}
		var got []string
		for d := r.request("inside", "true").Dest.(*Destination); d != nil; d = d.Via {
			got = append(got, d.User+"@"+d.Addr())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
