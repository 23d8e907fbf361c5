//go:build !linux

package forward

import "errors"

func socketProtocol(int) (int, error) { return 0, errors.ErrUnsupported }
