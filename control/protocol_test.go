package control

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tables returns PROTOCOL.md's tables by the first cell of their header, each
// as its rows of cells.
func tables(t *testing.T) map[string][][]string {
	t.Helper()
	b, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][][]string{}
	name := ""
	for _, line := range strings.Split(string(b), "\n") {
		if !strings.HasPrefix(line, "| ") {
			name = ""
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case name == "":
			if name = cells[0]; all[name] != nil {
				t.Fatalf("two tables of %q", name)
			}
			all[name] = [][]string{}
		case cells[0] != "---":
			all[name] = append(all[name], cells)
		}
	}
	return all
}

// column makes a table a map from one column to another.
func column(t *testing.T, table [][]string, from, to int) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, row := range table {
		if m[row[from]] != "" {
			t.Errorf("%q stands twice", row[from])
		}
		m[row[from]] = row[to]
	}
	return m
}

func compare(t *testing.T, what string, doc, code map[string]string) {
	t.Helper()
	for k, v := range code {
		if doc[k] != v {
			t.Errorf("%s %s: %q in PROTOCOL.md, %q in the code", what, k, doc[k], v)
		}
	}
	for k := range doc {
		if code[k] == "" {
			t.Errorf("%s %s is not in the code", what, k)
		}
	}
}

// constants returns the names and numbers of the code's constants of a type,
// without the prefix, so that one that is added and not documented is found.
func constants(t *testing.T, typ, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	names, _ := filepath.Glob("*.go")
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 {
				return true
			}
			if id, ok := spec.Type.(*ast.Ident); ok && id.Name == typ {
				if v, ok := spec.Values[0].(*ast.BasicLit); ok {
					found[strings.TrimPrefix(spec.Names[0].Name, prefix)] = v.Value
				}
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("no constants of type %s", typ)
	}
	return found
}

func TestProtocolDocument(t *testing.T) {
	doc := tables(t)
	compare(t, "frame", column(t, doc["number"], 1, 0), constants(t, "frameType", "frame"))
	compare(t, "request", column(t, doc["request"], 1, 0), constants(t, "op", "op"))
	compare(t, "welcome", column(t, doc["welcome"], 1, 0), constants(t, "Welcome", ""))
	compare(t, "flag", column(t, doc["flag"], 1, 0), map[string]string{
		"FlagOne": fmt.Sprintf("%#x", uint16(FlagOne)), "FlagMany": fmt.Sprintf("%#x", uint16(FlagMany))})
	if n := len(constants(t, "answerStatus", "")); len(doc["answer"]) != n {
		t.Errorf("%d answers of %d", len(doc["answer"]), n)
	}
	compare(t, "bit", column(t, doc["bit"], 1, 0), map[string]string{"passedStdin": fmt.Sprintf("%#x", passedStdin),
		"passedStdout": fmt.Sprintf("%#x", passedStdout), "passedStderr": fmt.Sprintf("%#x", passedStderr), "passedJoined": fmt.Sprintf("%#x", passedJoined),
		"passedTerminal": fmt.Sprintf("%#x", passedTerminal), "passedMidLine": fmt.Sprintf("%#x", passedMidLine)})
	compare(t, "command", column(t, doc["command"], 1, 0), constants(t, "CommandKind", ""))
	if n := len(constants(t, "PromptKind", "")); len(doc["kind"]) != n {
		t.Errorf("%d kinds of prompt of %d", len(doc["kind"]), n)
	}
	for _, row := range doc["number"] {
		n, _ := strconv.Atoi(row[0])
		client := constants(t, "frameType", "frame")[row[1]] != "" && n < 32
		if client != (row[2] == "client") {
			t.Errorf("frame %s is said to be from the %s", row[1], row[2])
		}
	}
	if v := doc["version"]; v[len(v)-1][0] != fmt.Sprint(Version) {
		t.Errorf("the history ends with version %s", v[len(v)-1][0])
	}
}

func TestProtocolPhases(t *testing.T) {
	rows := tables(t)["phase"]
	if n := len(constants(t, "ErrorPhase", "")); len(rows) != n {
		t.Fatalf("%d phases of %d", len(rows), n)
	}
	for i, row := range rows {
		p := ErrorPhase(i + 1)
		ran := map[bool]string{true: "yes", false: "no"}
		if row[0] != fmt.Sprint(uint8(p)) || row[1] != p.String() || row[3] != ran[p.MayHaveRun()] {
			t.Errorf("phase %d %s, may have run %v: %q", p, p, p.MayHaveRun(), row)
		}
		if strings.HasPrefix(row[4], "yes") == p.MayHaveRun() {
			t.Errorf("phase %s: repeated %q", p, row[4])
		}
	}
	if ErrorPhase(0).String() != "unknown" || ErrorPhase(6).String() != "unknown" {
		t.Error("phases that do not exist have names")
	}
}

func TestProtocolLimits(t *testing.T) {
	code := map[string]string{}
	for name, v := range map[string]int{"prefaceLen": prefaceLen, "MaxFrame": MaxFrame, "MaxFDs": MaxFDs, "maxHello": maxHello,
		"maxText": maxText, "maxCommand": maxCommand, "MaxCommandOutput": MaxCommandOutput, "maxList": maxList, "maxData": maxData, "stdinCredit": stdinCredit, "creditStep": creditStep, "passFrom": passFrom,
		"heldNotices": heldNotices, "heldPrompts": heldPrompts, "maxGreeting": maxGreeting, "maxClients": maxClients, "lastClients": lastClients,
		"MaxStreams": MaxStreams, "MaxPings": MaxPings} {
		code[name] = fmt.Sprint(v)
	}
	for name, v := range map[string]time.Duration{"prefaceTimeout": prefaceTimeout, "helloTimeout": helloTimeout,
		"PromptTimeout": PromptTimeout, "stopGrace": stopGrace, "linger": linger} {
		code[name] = v.String()
	}
	compare(t, "limit", column(t, tables(t)["limit"], 0, 1), code)
}

// The settings of yamux stand in streams/yamux.go, which its own test holds;
// here the document is held to them.
func TestProtocolStreams(t *testing.T) {
	b, err := os.ReadFile("streams/streams_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]string{"LogOutput": "none"}
	_, block, _ := strings.Cut(string(b), "yamux.Config{")
	block, _, _ = strings.Cut(block, "\n\t}\n")
	for _, m := range regexp.MustCompile(`(?m)^\t\t(\w+): +([^,]+),`).FindAllStringSubmatch(block, -1) {
		code[m[1]] = strings.NewReplacer("1 << 62", "2^62 ns", "256 << 10", "262144").Replace(m[2])
	}
	delete(code, "KeepAliveInterval") // not used
	compare(t, "setting", column(t, tables(t)["setting"], 0, 1), code)
}
