//go:build !linux

package sshtest

import "errors"

// probeNetns says why there are no network namespaces. NewNetns exists on
// Linux only, and so must the files of tests that use it.
func probeNetns() error { return errors.New("network namespaces are of Linux") }
