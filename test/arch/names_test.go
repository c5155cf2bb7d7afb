package arch

import (
	"bytes"
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// vagueNames say nothing of what a package is about, so that anything ends there.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "lib", "pkg", "internal"}

func TestPackagesAreNounsWithADoc(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		for _, part := range append(strings.Split(p.folder(), "/"), p.Name) {
			if slices.Contains(vagueNames, part) {
				t.Errorf("%s: %q says nothing of what it is about: name the thing in the domain", p.folder(), part)
			}
		}
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment: say what it is for and what it does not do", p.folder())
		}
	}
}

// TestNoInit: what runs before main cannot be tested, ordered or given arguments.
// Generated files and the registration that a scheme builder wants are exempt.
func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		for _, s := range parse(t, p) {
			if s.generated() {
				continue
			}
			for _, decl := range s.file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: func init: build what is needed where it is needed", s.at(f))
				}
			}
		}
	}
}

// somebodysHome is a path that exists on the machine of one person only.
var somebodysHome = regexp.MustCompile(`/(home|Users)/[a-z][a-z0-9_-]*/`)

// TestNoPathOfOneMachine keeps the place of one checkout out of the repository.
func TestNoPathOfOneMachine(t *testing.T) {
	t.Parallel()
	here := []byte(root() + "/")
	short := bytes.Count(here, []byte("/")) < 3 // "/src/" could be meant otherwise
	read := 0
	err := filepath.WalkDir(root(), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "bin", "vendor", "node_modules", ".cache"}, d.Name()):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil || info.Size() > 1<<20 {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		read++
		name := strings.TrimPrefix(path, root()+"/")
		if !short && bytes.Contains(text, here) {
			t.Errorf("%s names the folder of this checkout", name)
		}
		if found := somebodysHome.Find(text); found != nil && name != "test/arch/names_test.go" {
			t.Errorf("%s names somebody's home %q", name, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 100 {
		t.Errorf("%d files were read: the walk is not whole", read)
	}
}
