package hostkey

import (
	"crypto/ecdsa"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The picture of a key (VisualHostKey): a field on which a walk that the
// fingerprint steers leaves its marks, deeper the more often it comes by.
const (
	artWidth  = 17
	artHeight = 9
	artMarks  = " .o+=*BOX@%&#/^"
	artStart  = 'S'
	artEnd    = 'E'
)

// picture shows the key of a known host to those who want to see it.
func (c *Check) picture(key ssh.PublicKey) {
	if c.srv.Conf.IsSet("visualhostkey") {
		c.inform("Host key fingerprint is: " + c.fingerprint(key) + "\n" + c.art(key))
	}
}

func (c *Check) art(key ssh.PublicKey) string {
	title := fmt.Sprintf("[%s %d]", keyKind(key), keyBits(key))
	if c.md5() {
		sum := md5.Sum(key.Marshal())
		return drawArt(title, "[MD5]", sum[:])
	}
	sum := sha256.Sum256(key.Marshal())
	return drawArt(title, "[SHA256]", sum[:])
}

// keyBits is the size of a key as ssh counts it.
func keyBits(key ssh.PublicKey) int {
	if n := rsaBits(key); n > 0 {
		return n
	}
	if ck, ok := key.(ssh.CryptoPublicKey); ok {
		if pub, ok := ck.CryptoPublicKey().(*ecdsa.PublicKey); ok {
			return pub.Curve.Params().BitSize
		}
	}
	return 256 // Ed25519
}

// drawArt lets a bishop start in the middle and move by two bits of the
// fingerprint at a time, along the edges where it would leave the field.
func drawArt(title, hash string, print []byte) string {
	var field [artHeight][artWidth]int
	x, y := artWidth/2, artHeight/2
	for _, b := range print {
		for range 4 {
			x = min(max(x+int(b&1)*2-1, 0), artWidth-1)
			y = min(max(y+int(b>>1&1)*2-1, 0), artHeight-1)
			field[y][x] = min(field[y][x]+1, len(artMarks)-1)
			b >>= 2
		}
	}
	var s strings.Builder
	s.WriteString(artBorder(title) + "\n")
	for j, row := range field {
		line := make([]byte, artWidth)
		for i, n := range row {
			line[i] = artMarks[n]
		}
		if j == artHeight/2 {
			line[artWidth/2] = artStart
		}
		if j == y {
			line[x] = artEnd
		}
		s.WriteString("|" + string(line) + "|\n")
	}
	s.WriteString(artBorder(hash))
	return s.String()
}

func artBorder(text string) string {
	left := (artWidth - len(text)) / 2
	return "+" + strings.Repeat("-", left) + text + strings.Repeat("-", artWidth-left-len(text)) + "+"
}
