package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Source is what only the text of a package says: comments, and the constants of
// its types.
type Source struct {
	comments  map[[2]string]string
	constants map[string][]string
}

// Comment is what is said about a field of a type; without a field, about the type.
func (s Source) Comment(typeName, field string) string { return s.comments[[2]string{typeName, field}] }

// Constants are the words of a type, in the order of their declaration.
func (s Source) Constants(typeName string) []string { return s.constants[typeName] }

// ReadSource reads the files of a package.
func ReadSource(folder string) (Source, error) {
	out := Source{comments: map[[2]string]string{}, constants: map[string][]string{}}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return out, fmt.Errorf("listing %s: %w", folder, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return out, fmt.Errorf("reading the source: %w", err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			return out, fmt.Errorf("parsing the source: %w", err)
		}
		for _, d := range file.Decls {
			if general, ok := d.(*ast.GenDecl); ok {
				out.declare(general)
			}
		}
	}
	return out, nil
}

func (s *Source) declare(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			s.comments[[2]string{spec.Name.Name, ""}] = paragraph(d.Doc.Text())
			if structure, ok := spec.Type.(*ast.StructType); ok {
				s.describe(spec.Name.Name, structure)
			}
		case *ast.ValueSpec:
			s.value(spec)
		}
	}
}

func (s *Source) describe(typeName string, structure *ast.StructType) {
	for _, f := range structure.Fields.List {
		for _, name := range f.Names {
			s.comments[[2]string{typeName, name.Name}] = paragraph(f.Doc.Text())
		}
	}
}

func (s *Source) value(spec *ast.ValueSpec) {
	typeName, ok := spec.Type.(*ast.Ident)
	if !ok {
		return
	}
	for _, v := range spec.Values {
		if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if word, err := strconv.Unquote(literal.Value); err == nil && strings.TrimSpace(word) != "" {
				s.constants[typeName.Name] = append(s.constants[typeName.Name], word)
			}
		}
	}
}
