package table

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"muxd/control"
)

// Link is the connection that stands for a host: the one that new work goes to,
// else the newest one; nil where there is none.
func Link(h *control.HostStatus) *control.LinkStatus {
	for i := range h.Links {
		if h.Links[i].Use == control.UseMain {
			return &h.Links[i]
		}
	}
	if n := len(h.Links); n > 0 {
		return &h.Links[n-1]
	}
	return nil
}

// Connections says what each one is for, where there are several.
func Connections(h *control.HostStatus) string {
	if len(h.Links) < 2 {
		return ""
	}
	var each []string
	for i := range h.Links {
		what := h.Links[i].Use
		if what == "" {
			what = h.Links[i].State
		}
		each = append(each, fmt.Sprintf("%s %d", what, h.Links[i].Sessions))
	}
	return fmt.Sprintf("%d connections, with sessions: %s", len(h.Links), strings.Join(each, ", "))
}

// Sessions is how many there are, and of how many the server takes where that is
// known.
func Sessions(h *control.HostStatus) string {
	if h.Limit == 0 {
		return strconv.Itoa(len(h.Sessions))
	}
	return fmt.Sprintf("%d/%d", len(h.Sessions), h.Limit*max(1, len(h.Links)))
}

// RoundTrip is a time that an answer took.
func RoundTrip(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

// LastTry is why there is no connection, and when there may be one.
func LastTry(h *control.HostStatus, now time.Time) string {
	text, sep := h.LastErr, ""
	if text != "" {
		sep = "; "
	}
	if h.Attempt > 0 {
		text += fmt.Sprintf("%sattempt %d", sep, h.Attempt)
		sep = ", "
	}
	if !h.Next.IsZero() {
		text += fmt.Sprintf("%snext try in %d s", sep, seconds(now, h.Next))
	}
	return text
}

// Refusing says why muxd takes on nothing new, a line for each reason; there is
// none where it does.
func Refusing(st *control.Status, now time.Time) (lines []string) {
	if !st.Locked.IsZero() {
		lines = append(lines, fmt.Sprintf("locked for %s: nothing new begins until muxd unlock", Age(now, st.Locked)))
	}
	if st.Drains {
		lines = append(lines, "draining: it takes on nothing new, and ends with its last session")
	}
	return lines
}

// Age is a duration as people say it: two units at most.
func Age(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(0, d).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Forward is what a person wants to know first: which one is it, by the
// option that asked for it, does it stand, since when, whose is it, is it used,
// and if not, why.
func Forward(f *control.ForwardStatus, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s, %s, ", f.Forward, f.State, Age(now, f.Since), owner(f))
	if f.Waiting > 0 {
		fmt.Fprintf(&b, "%d waiting, ", f.Waiting)
	}
	if f.Total == 0 {
		b.WriteString("not used yet")
	} else {
		fmt.Fprintf(&b, "%d/%d open %s in %s out", f.Open, f.Total, Size(f.In), Size(f.Out))
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

// Size is a number of bytes in three digits at most, by powers of 1024.
func Size(n int64) string {
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
