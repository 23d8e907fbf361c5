package muxd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// wallClock are the functions and methods that take the monotonic part off a
// time, or make a time without one. Two such times are compared by the wall
// clock, which people and NTP set.
var wallClock = map[string]bool{"Unix": true, "UnixNano": true, "UnixMilli": true, "UnixMicro": true, "Date": true, "Parse": true,
	"ParseInLocation": true, "UTC": true, "Local": true, "In": true, "Truncate": true, "Round": true, "AddDate": true, "ModTime": true}

// mayUseIt are the uses that decide nothing about a connection, a wait or a
// pause, each with what it is for.
var mayUseIt = map[string]string{
	"control/operation.go Unix(1, 0)":   "a deadline that is past by any clock",
	"control/greeting.go Unix(1, 0)":    "a deadline that is past by any clock",
	"internal/wire/wire.go Unix(1, 0)":  "a deadline that is past by any clock",
	"control/codec.go UnixNano()":       "a date for people, on its way to the client",
	"control/codec.go Unix(0, int64())": "a date for people, read by the client",
	"alive/warmth.go UTC()":             "Warmth.LostAt, a date in a file",
	"alive/warmth.go Round(0)":          "Warmth.LostAt, a date in a file",
	"master/blocked.go ModTime()":       "of a file: compared for change, not for order",
	"master/blocked.go UnixNano()":      "of a file: compared for change, not for order",
}

// TestNoWallClock holds that a step of the wall clock, by NTP or by hand, has no
// effect: what decides about time keeps time.Now's monotonic part. What the
// machine's sleep adds to a pause or a silence is told by netwatch.
func TestNoWallClock(t *testing.T) {
	used := map[string]bool{}
	for _, dir := range []string{"alive", "control", "master", "socket", "internal/login", "internal/netwatch", "internal/sshlink", "internal/wire"} {
		filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				for use, at := range wallUses(t, path) {
					if used[use] = true; mayUseIt[use] == "" {
						t.Errorf("%s: %s: a time of the wall clock, which may be set at any moment", at, use)
					}
				}
			}
			return err
		})
	}
	for use := range mayUseIt {
		if !used[use] {
			t.Errorf("%s is allowed and nowhere used", use)
		}
	}
}

// wallUses are the uses in a file, and where the last of each stands. A duration
// is rounded by the same words, but to something other than zero.
func wallUses(t *testing.T, path string) map[string]token.Position {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]token.Position{}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !wallClock[sel.Sel.Name] {
			return true
		}
		args := words(call.Args)
		if name := sel.Sel.Name; (name == "Round" || name == "Truncate") && args != "0" {
			return true
		}
		found[filepath.ToSlash(path)+" "+sel.Sel.Name+"("+args+")"] = set.Position(call.Pos())
		return true
	})
	return found
}

func words(args []ast.Expr) string {
	var all []string
	for _, a := range args {
		switch a := a.(type) {
		case *ast.BasicLit:
			all = append(all, a.Value)
		case *ast.CallExpr:
			if f, ok := a.Fun.(*ast.Ident); ok {
				all = append(all, f.Name+"()")
			}
		}
	}
	return strings.Join(all, ", ")
}
