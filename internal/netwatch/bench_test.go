package netwatch

import (
	"net/netip"
	"testing"
)

// What a notice costs, and what a question does.

func BenchmarkLook(b *testing.B) {
	for b.Loop() {
		if _, err := look(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNetwork(b *testing.B) {
	for b.Loop() {
		Network()
	}
}

func BenchmarkHasAddress(b *testing.B) {
	for ip := netip.MustParseAddr("127.0.0.1"); b.Loop(); {
		HasAddress(ip)
	}
}

func BenchmarkRouted(b *testing.B) {
	for ip := netip.MustParseAddr("127.0.0.1"); b.Loop(); {
		Routed(ip)
	}
}
