// Package packaging holds what stands beside the two programs on a machine:
// units of service managers, completions of shells and manual pages. It exists
// so that muxd install writes the same files that a package of a distribution
// has. It knows no machine and writes nothing.
package packaging

import "embed"

// Systemd are the user units: systemd/muxd.socket and systemd/muxd.service
// (systemd.unit(5)). ExecStart has Program in the place of muxd's path.
//
//go:embed systemd
var Systemd embed.FS

// Launchd is the agent of launchd: launchd/muxd.plist (launchd.plist(5)), with
// Program in the place of muxd's path.
//
//go:embed launchd
var Launchd embed.FS

// Completions are completions/muxc.bash, completions/_muxc (zsh), and
// completions/muxc.fish, and the same three for muxd.
//
//go:embed completions/*.bash completions/_muxc completions/_muxd completions/*.fish
var Completions embed.FS

// Program stands in the units for the path of muxd.
const Program = "/usr/bin/muxd"
