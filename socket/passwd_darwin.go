package socket

import (
	"os/user"
	"strconv"
)

// macOS keeps its users in a directory service. os/user asks it through
// libSystem, which every program there links anyway.
func lookup(uid uint32) *user.User {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return &user.User{}
	}
	return u
}

func nameOf(uid uint32) string { return lookup(uid).Username }
func homeOf(uid uint32) string { return lookup(uid).HomeDir }
