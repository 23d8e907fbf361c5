package contain

import (
	"errors"
	"strings"
	"testing"
)

func TestDo(t *testing.T) {
	var said []string
	report := func(msg string, args ...any) {
		for _, a := range args {
			said = append(said, a.(string))
		}
	}
	bad := errors.New("as usual")
	if err := Do(report, "work", func() error { return bad }); err != bad || said != nil {
		t.Errorf("%v, %q", err, said)
	}
	if err := Do(report, "work", func() error { return nil }); err != nil || said != nil {
		t.Errorf("%v, %q", err, said)
	}
	err := Do(report, "reading a file", func() error { return []error{}[len(said)] })
	if err == nil || !strings.HasPrefix(err.Error(), "reading a file failed because of a bug in muxd") {
		t.Errorf("%v", err)
	}
	if all := strings.Join(said, "\n"); !strings.Contains(all, "index out of range") || !strings.Contains(all, "contain_test.go") {
		t.Errorf("the report has not what and where: %s", all)
	}
}
