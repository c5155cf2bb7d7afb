package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// clockNames are what reads or waits for the clock in package time.
var clockNames = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// ownRandomness are the names of math/rand/v2 that do not draw from its global
// source.
var ownRandomness = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}

func TestDecisionCodeIsPure(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		if !within(p.folder(), pureFolders...) || testOnly(p) {
			continue
		}
		for _, s := range parse(t, p) {
			for _, finding := range impurities(s) {
				t.Error(finding)
			}
		}
	}
}

// impurities lists what a file of the decision code must not do.
func impurities(s source) []string {
	names := importNames(s.file)
	var out []string
	report := func(n ast.Node, format string, args ...any) {
		out = append(out, s.at(n)+": "+fmt.Sprintf(format, args...))
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n, "go statement: decisions have no goroutines, so that they repeat")
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			switch path := names[pkg.Name]; {
			case path == "time" && slices.Contains(clockNames, n.Sel.Name):
				report(n, "time.%s: the current time is an argument", n.Sel.Name)
			case path == "math/rand/v2" && !slices.Contains(ownRandomness, n.Sel.Name):
				report(n, "rand.%s draws from a global source: take a *rand.Rand", n.Sel.Name)
			case path == "fmt" && strings.HasPrefix(n.Sel.Name, "Print"):
				report(n, "fmt.%s prints: decisions are returned", n.Sel.Name)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "println" || f.Name == "print") {
				report(n, "%s prints: decisions are returned", f.Name)
			}
		}
		return true
	})
	return append(out, globals(s)...)
}

// importNames maps the names of a file's imports to their paths.
func importNames(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, imp := range f.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		parts := strings.Split(path, "/")
		name := parts[len(parts)-1]
		if len(parts) > 1 && len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
			name = parts[len(parts)-2]
		}
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[name] = path
	}
	return names
}

// globals lists package-level variables that are no errors and no tables, and
// tables that code writes to.
func globals(s source) []string {
	var out []string
	tables := map[string]bool{}
	for _, decl := range s.file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.VAR {
			continue
		}
		for _, spec := range d.Specs {
			v := spec.(*ast.ValueSpec)
			for i, name := range v.Names {
				switch {
				case name.Name == "_" || (i < len(v.Values) && isError(v.Values[i])):
				case i < len(v.Values) && isTable(v.Values[i]):
					tables[name.Name] = true
				default:
					out = append(out, fmt.Sprintf("%s: package-level variable %s: only errors and tables of values, so that engines share nothing", s.at(name), name.Name))
				}
			}
		}
	}
	return append(out, writes(s, tables)...)
}

func isError(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && (f.Sel.Name == "New" || f.Sel.Name == "Errorf")
}

func isTable(e ast.Expr) bool {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return false
	}
	switch lit.Type.(type) {
	case *ast.ArrayType, *ast.MapType:
		return true
	}
	return false
}

// writes lists assignments to tables of the same file.
func writes(s source, tables map[string]bool) []string {
	var out []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if !ok || assign.Tok == token.DEFINE {
			return true
		}
		for _, left := range assign.Lhs {
			if index, ok := left.(*ast.IndexExpr); ok {
				left = index.X
			}
			if name, ok := left.(*ast.Ident); ok && tables[name.Name] {
				out = append(out, fmt.Sprintf("%s: writes to the table %s", s.at(assign), name.Name))
			}
		}
		return true
	})
	return out
}

// TestImpuritiesAreFound shows that the rules can fail.
func TestImpuritiesAreFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code string
		want []string
	}{
		"clock":             {"import \"time\"\nfunc f() { _ = time.Now() }", []string{"x.go:3: time.Now: the current time is an argument"}},
		"clock by an alias": {"import t \"time\"\nvar _ = t.Since", []string{"x.go:3: time.Since: the current time is an argument"}},
		"types of time":     {"import \"time\"\nfunc f(now time.Time) time.Duration { return now.Sub(now) }", nil},
		"global randomness": {"import \"math/rand/v2\"\nfunc f() int { return rand.IntN(3) }", []string{"x.go:3: rand.IntN draws from a global source: take a *rand.Rand"}},
		"own randomness":    {"import \"math/rand/v2\"\nfunc f(r *rand.Rand) int { return r.IntN(3) }", nil},
		"goroutine":         {"func f() { go f() }", []string{"x.go:2: go statement: decisions have no goroutines, so that they repeat"}},
		"printing":          {"import \"fmt\"\nfunc f() { fmt.Println() }", []string{"x.go:3: fmt.Println prints: decisions are returned"}},
		"variable":          {"var cache = map[string]int{}\nvar n int", []string{"x.go:3: package-level variable n: only errors and tables of values, so that engines share nothing"}},
		"table written to":  {"var cache = map[string]int{}\nfunc f() { cache[\"a\"] = 1 }", []string{"x.go:3: writes to the table cache"}},
		"errors and tables": {"import \"errors\"\nvar errX = errors.New(\"x\")\nvar names = [...]string{\"a\"}\nvar _ error = errX", nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "x.go", "package x\n"+tc.code, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, impurities(source{name: "x.go", fset: fset, file: file})); diff != "" {
				t.Errorf("impurities (-want +got):\n%s", diff)
			}
		})
	}
}
