//go:build !linux

package main

import "time"

// adopt does nothing here: nobody else can be made a parent.
func adopt() {}

// reap does nothing here.
func reap(time.Duration) {}
