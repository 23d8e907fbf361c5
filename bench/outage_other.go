//go:build !linux

package main

import "errors"

var outageParts []part

// outage needs network namespaces.
func outage(options) error {
	return errors.New("-outage needs Linux: it drops packets in a network namespace")
}
