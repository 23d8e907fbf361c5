package socket

import (
	"os"
	"strconv"
	"strings"
)

// passwdFile is read here and not through os/user, which links the C library
// where cgo is on and so doubles the client's start-up time. Users that only
// LDAP or NIS know are not found; the callers do without.
const passwdFile = "/etc/passwd"

// The fields of a line, as in passwd(5).
const (
	passwdName = 0
	passwdUID  = 2
	passwdHome = 5
)

func nameOf(uid uint32) string { return passwdField(passwdFile, uid, passwdName) }
func homeOf(uid uint32) string { return passwdField(passwdFile, uid, passwdHome) }

// passwdField is a field of uid's first line in file, or "".
func passwdField(file string, uid uint32, field int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	want := strconv.FormatUint(uint64(uid), 10)
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) > passwdHome && f[passwdUID] == want {
			return f[field]
		}
	}
	return ""
}
