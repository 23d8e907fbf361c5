// Package build names this build of muxd, so that muxc, muxd and the protocol
// between them say the same. It holds nothing else.
package build

// Version is the released version, or what stands before one.
const Version = "0.1.0-dev"
