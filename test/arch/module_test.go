package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/pullpace/pace"

// goPackage is what the go command knows of a package.
type goPackage struct {
	ImportPath, Dir, Name, Doc string
	Standard                   bool
	GoFiles                    []string
	Imports                    []string
	TestImports, XTestImports  []string
}

// folder is the package's folder within the module, "." for the root.
func (p goPackage) folder() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

// ours loads the packages of the module once for all tests.
var ours = sync.OnceValues(func() ([]goPackage, error) { return list("-e", "./...") })

func load(t *testing.T) []goPackage {
	t.Helper()
	pkgs, err := ours()
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("the module has %d packages: the list is not whole", len(pkgs))
	}
	return pkgs
}

// list asks the go command about packages, from the root of the module.
func list(args ...string) ([]goPackage, error) {
	const fields = "-json=ImportPath,Dir,Name,Doc,Standard,GoFiles,Imports,TestImports,XTestImports"
	cmd := exec.Command("go", append([]string{"list", fields}, args...)...)
	cmd.Dir = root()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing %v: %w\n%s", args, err, stderr.Bytes())
	}
	var pkgs []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the list of %v: %w", args, err)
		}
		pkgs = append(pkgs, p)
	}
}

// root is the root of the module: tests run in the folder of their package.
func root() string {
	abs, err := filepath.Abs("../..")
	if err != nil {
		panic(err) // the working directory is gone
	}
	return abs
}

// within reports whether folder is one of the folders or below one.
func within(folder string, folders ...string) bool {
	for _, f := range folders {
		if folder == f || strings.HasPrefix(folder, f+"/") {
			return true
		}
	}
	return false
}

// source is one parsed file that is no test.
type source struct {
	name string // for messages, from the root
	fset *token.FileSet
	file *ast.File
}

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.fset.Position(n.Pos()).Line)
}

// generated reports whether a tool wrote the file.
func (s source) generated() bool { return ast.IsGenerated(s.file) }

// parse reads the files of a package that are no tests.
func parse(t *testing.T, p goPackage) []source {
	t.Helper()
	var out []source
	for _, name := range p.GoFiles {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, source{name: p.folder() + "/" + name, fset: fset, file: file})
	}
	return out
}
