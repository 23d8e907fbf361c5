package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"muxd/control"
)

// forwardLine is what a person wants to know first: which one is it, by the
// option that asked for it, does it stand, since when, whose is it, is it used,
// and if not, why.
func forwardLine(f *control.ForwardStatus, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s, %s, ", f.Forward, f.State, age(now, f.Since), owner(f))
	if f.Waiting > 0 {
		fmt.Fprintf(&b, "%d waiting, ", f.Waiting)
	}
	if f.Total == 0 {
		b.WriteString("not used yet")
	} else {
		fmt.Fprintf(&b, "%d/%d open %s in %s out", f.Open, f.Total, size(f.In), size(f.Out))
	}
	switch {
	case f.LastErr != "" && !f.Next.IsZero():
		fmt.Fprintf(&b, "; %s, next try in %d s", f.LastErr, seconds(now, f.Next))
	case f.LastErr != "":
		b.WriteString("; " + f.LastErr)
	}
	switch {
	case f.Probed && f.Probe == "":
		b.WriteString("; probe: ok")
	case f.Probed:
		b.WriteString("; probe: " + f.Probe)
	}
	return b.String()
}

// owner is whose a forward is: that of clients, which go, or of nobody.
func owner(f *control.ForwardStatus) string {
	var who []string
	if f.Sticky {
		who = append(who, "sticky")
	}
	if len(f.Owners) > 0 {
		who = append(who, "pid "+strings.Trim(fmt.Sprint(f.Owners), "[]"))
	}
	return strings.Join(who, " and ")
}

// seconds until t, rounded up: who reads 1 has that second.
func seconds(now, t time.Time) int64 {
	return int64(max(0, (t.Sub(now)+time.Second-1)/time.Second))
}

// size is a number of bytes in three digits at most, by powers of 1024.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1000 {
		return strconv.FormatInt(n, 10) + "B"
	}
	v, i := float64(n)/1024, 0
	for ; v >= 999.5 && i < len(units)-1; i++ {
		v /= 1024
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f%c", v, units[i])
	}
	return fmt.Sprintf("%.0f%c", v, units[i])
}
