package packaging

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// rpm is what a package of rpm holds.
type rpm struct {
	digests    map[string]string // SHA-256 of each file, by its path below the root
	recommends []string
	buildHost  string
}

// Tags of a header (rpm.org, "RPM Tags").
const (
	tagBuildHost  = 1007
	tagDigests    = 1035
	tagDirIndexes = 1116
	tagBaseNames  = 1117
	tagDirNames   = 1118
	tagRecommends = 5046
)

// readRPM compares what the header says of the files with the files. It reads
// version 4 of the format with a payload that gzip compressed, which is what nfpm
// writes: a lead of 96 octets, a header of signatures padded to 8, a header, and
// an archive of cpio.
func readRPM(t *testing.T, path string) rpm {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 96 || string(b[:4]) != "\xed\xab\xee\xdb" {
		t.Fatal("no lead of rpm")
	}
	_, n := rpmHeader(t, b[96:])
	at := 96 + (n+7)/8*8
	header, n := rpmHeader(t, b[at:])
	compressed, err := gzip.NewReader(bytes.NewReader(b[at+n:]))
	if err != nil {
		t.Fatal(err)
	}
	files := cpioDigests(t, compressed)

	dirs, sums := header.strings(tagDirNames), header.strings(tagDigests)
	for i, base := range header.strings(tagBaseNames) {
		dir := dirs[binary.BigEndian.Uint32(header[tagDirIndexes].store[4*i:])]
		name := strings.TrimPrefix(dir+base, "/")
		if sums[i] != files[name] {
			t.Errorf("the header says %q of %s, the archive has %q", sums[i], name, files[name])
		}
	}
	return rpm{files, header.strings(tagRecommends), strings.Join(header.strings(tagBuildHost), "")}
}

// rpmTags are the entries of a header: store begins with the entry's value.
type rpmTags map[uint32]struct {
	store []byte
	count int
}

// rpmHeader reads the header that b begins with, and says how long it is.
func rpmHeader(t *testing.T, b []byte) (rpmTags, int) {
	t.Helper()
	if len(b) < 16 || string(b[:4]) != "\x8e\xad\xe8\x01" {
		t.Fatal("no header of rpm")
	}
	entries, size := int(binary.BigEndian.Uint32(b[8:])), int(binary.BigEndian.Uint32(b[12:]))
	store := b[16+16*entries:][:size]
	tags := rpmTags{}
	for i := range entries {
		e := b[16+16*i:]
		tag := tags[binary.BigEndian.Uint32(e)]
		tag.store = store[binary.BigEndian.Uint32(e[8:]):]
		tag.count = int(binary.BigEndian.Uint32(e[12:]))
		tags[binary.BigEndian.Uint32(e)] = tag
	}
	return tags, 16 + 16*entries + size
}

// strings is an array of strings, each ended by a zero.
func (tags rpmTags) strings(tag uint32) []string {
	e, ok := tags[tag]
	if !ok {
		return nil
	}
	return strings.SplitN(string(e.store), "\x00", e.count+1)[:e.count]
}

// cpioDigests are the files of an archive in the format "newc". Directories have
// none.
func cpioDigests(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	in := bufio.NewReader(r)
	take := func(n int) string {
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			t.Fatal("cpio: ", err)
		}
		return string(b)
	}
	files := map[string]string{}
	for {
		header := take(110)
		field := func(i int) int {
			n, err := strconv.ParseInt(header[6+8*i:][:8], 16, 64)
			if err != nil || !strings.HasPrefix(header, "070701") {
				t.Fatalf("cpio: %q", header)
			}
			return int(n)
		}
		const mode, size, nameSize = 1, 6, 11
		name := strings.TrimRight(take((field(nameSize)+110+3)/4*4-110), "\x00")
		if name == "TRAILER!!!" {
			return files
		}
		content := take((field(size) + 3) / 4 * 4)[:field(size)]
		if field(mode)&0o170000 == 0o100000 {
			files[strings.TrimPrefix(strings.TrimPrefix(name, "."), "/")] = digest(content)
		}
	}
}
