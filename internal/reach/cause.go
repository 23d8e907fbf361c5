package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Cause keeps the cause of a network error and drops the addresses and calls
// around it, which the line that names it tells already.
func Cause(err error) error {
	var dns *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("could not resolve hostname %s: no such host", dns.Name)
	case errors.As(err, &dns):
		return fmt.Errorf("could not resolve hostname %s: %s", dns.Name, dns.Err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return errors.New("timed out")
	case errors.As(err, &errno):
		return errors.New(errno.Error())
	}
	return err
}
