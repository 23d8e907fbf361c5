package knownhosts

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// The kinds of sections about the certificates of one authority (krl.h).
const (
	krlSerialList    = 0x20
	krlSerialRange   = 0x21
	krlSerialBitmap  = 0x22
	krlKeyID         = 0x23
	krlCertExtension = 0x39
)

// maxBitmap is how many bytes the mpint of a bitmap may have: 16384 bits and a
// zero that keeps it positive (SSHBUF_MAX_BIGNUM, sshbuf.h).
const maxBitmap = 16384/8 + 1

func (k *krl) certificates(r *wireReader) {
	ca := string(r.bytes())
	r.bytes() // reserved
	c := k.certs[ca]
	if c == nil {
		c = &krlCerts{ids: map[string]bool{}}
		k.certs[ca] = c
	}
	for r.more() {
		kind := r.byte()
		body := &wireReader{data: r.bytes()}
		switch kind {
		case krlSerialList:
			for body.more() {
				n := body.uint64()
				c.add(body, n, n)
			}
		case krlSerialRange:
			first := body.uint64()
			c.add(body, first, body.uint64())
		case krlSerialBitmap:
			c.bitmap(body)
		case krlKeyID:
			for body.more() {
				c.ids[body.cstring()] = true
			}
		case krlCertExtension:
			body.extension()
		default:
			r.fail(fmt.Errorf("an unknown section %#x about certificates", kind))
		}
		r.absorb(body)
	}
}

// add takes in a range. Serial 0 stands for none, so nobody can have meant it.
func (c *krlCerts) add(r *wireReader, first, last uint64) {
	if r.err == nil && (first == 0 || first > last) {
		r.fail(errors.New("an impossible range of serial numbers"))
	}
	if r.err == nil {
		c.serials = append(c.serials, serialRange{first, last})
	}
}

// bitmap reads a number whose bit n revokes the serial offset+n.
func (c *krlCerts) bitmap(r *wireReader) {
	offset := r.uint64()
	number := r.bytes()
	switch {
	case r.err != nil:
		return
	case len(number) > maxBitmap, len(number) == maxBitmap && number[0] != 0, len(number) > 0 && number[0] >= 0x80:
		r.fail(errors.New("an impossible bitmap of serial numbers"))
		return
	}
	for i := range number {
		b := number[len(number)-1-i] // the last byte has the lowest bits
		for b != 0 && r.err == nil {
			n := uint64(i*8 + bits.TrailingZeros8(b))
			if offset > math.MaxUint64-n {
				r.fail(errors.New("a bitmap beyond the last serial number"))
				return
			}
			c.add(r, offset+n, offset+n)
			b &= b - 1
		}
	}
}
