// Package learned keeps what was learned of a destination or a network: how
// long its path lets a connection be silent, how many sessions its server
// grants, which keys sign only when a person touches them. All of it is
// convenience that is learned again when it is lost, and the package is built
// on that: it never fails, it never makes anybody wait for a disk, and a file
// it cannot read is a file it replaces.
//
// It refuses to be a diary. The file names no host, no network and no key in
// clear, dates nothing but the last connection that a path lost, and is
// bounded; what was used longest ago goes.
//
// The file is one JSON object:
//
//	{"format":"muxd-learned","version":1,
//	 "destinations":[{"dest":"64 hex digits","max_sessions":10,
//	                  "networks":[{"network":"32 hex digits","warmth":{…}}]}],
//	 "touch_keys":["32 hex digits"]}
//
// Every list goes from the least to the most recently used. Unknown members
// are ignored and lost at the next save; a change that must not be read by an
// older muxd gets another version.
//
// Version history: 1, the first.
package learned
