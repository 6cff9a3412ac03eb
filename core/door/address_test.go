package door

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

func from(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }

func TestBuckets(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	a := newAddresses(2) // Four at once.
	take := func(who string, want int) {
		t.Helper()
		got := 0
		for a.allow(from(who), now) {
			got++
		}
		if got != want {
			t.Errorf("%s: %d were let in, want %d", who, got, want)
		}
	}
	take("192.0.2.1:1", 4)
	take("[::ffff:192.0.2.1]:2", 0) // The same one.
	take("192.0.2.2:1", 4)
	take("[2001:db8::1]:1", 4)
	take("[2001:db8::ffff:1%eth0]:1", 0) // The same network.
	take("[2001:db8:0:1::1]:1", 4)
	now = now.Add(time.Second)
	take("192.0.2.1:1", 2)
	now = now.Add(time.Hour)
	take("192.0.2.1:1", 4)
	now = now.Add(-time.Minute) // A clock that was set back gives nothing.
	take("192.0.2.1:1", 0)
	if !a.allow(&net.UnixAddr{Name: "@"}, now) {
		t.Error("what comes over no network is limited")
	}
}

func TestAddressesAreForgotten(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	a := newAddresses(1)
	for i := range mostAddresses {
		a.allow(from(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)), now)
	}
	if !a.allow(from("192.0.2.1:1"), now) || len(a.buckets) != mostAddresses {
		t.Errorf("one too many: %d are known", len(a.buckets))
	}
	now = now.Add(time.Minute)
	if !a.allow(from("192.0.2.1:1"), now) || len(a.buckets) != 1 {
		t.Errorf("a minute later %d are known", len(a.buckets))
	}
}
