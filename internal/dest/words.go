package dest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// shaping are the keywords of the command line that change which connection is
// meant, beside those that are part of its key.
var shaping = []string{"user", "port", "hostname", "identityfile", "certificatefile", "identityagent", "userknownhostsfile", "stricthostkeychecking", "tag"}

// words names what was typed, as far as it says which connection is meant.
func (c *commandLine) words(name string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q", name, c.configFile)
	for _, s := range c.settings {
		if k := strings.ToLower(s.Keyword); slices.Contains(shaping, k) || slices.Contains(keyed, k) {
			fmt.Fprintf(h, " %s %q", k, s.Value)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
