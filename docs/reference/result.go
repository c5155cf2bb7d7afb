package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"

	"github.com/pullpace/pace/simulate/report"
)

// Result is the page of what simulations come to, from the source of its types and
// the list of metrics.
func Result(source []byte) (string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "result.go", source, parser.ParseComments)
	if err != nil {
		return "", fmt.Errorf("parsing the types of results: %w", err)
	}
	types := map[string]*ast.StructType{}
	docs := map[string]string{}
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		spec := gen.Specs[0].(*ast.TypeSpec)
		if s, ok := spec.Type.(*ast.StructType); ok {
			types[spec.Name.Name], docs[spec.Name.Name] = s, gen.Doc.Text()
		}
	}
	var b strings.Builder
	b.WriteString(generated + "# Result\n\nWhat `simulate FILE -o json` prints, and `-o yaml`. " + paragraph(docs["Result"]) + "\n\n| field | type | meaning |\n| --- | --- | --- |\n")
	if err := resultFields(&b, types, "Result", ""); err != nil {
		return "", err
	}
	b.WriteString("\n## Metrics\n\nGoals, `sweep` and `solve` name these figures of a policy. A goal on one that is null is missed.\n\n| metric | unit |\n| --- | --- |\n")
	for _, m := range report.Metrics() {
		unit := m.Unit
		switch unit {
		case "s":
			unit = "seconds; a value may be a duration, as 25m"
		case "":
			unit = "a ratio"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", m.Name, unit)
	}
	return b.String(), nil
}

// resultFields writes a row for each field of a type, and of the types in it.
func resultFields(b *strings.Builder, types map[string]*ast.StructType, name, path string) error {
	for _, f := range types[name].Fields.List {
		tag := ""
		if f.Tag != nil {
			unquoted, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				return fmt.Errorf("reading the tag of a field of %s: %w", name, err)
			}
			tag, _, _ = strings.Cut(reflect.StructTag(unquoted).Get("json"), ",")
		}
		if tag == "" || tag == "-" {
			continue
		}
		kind, inner, suffix := resultKind(f.Type)
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", path, tag, kind, cell(f.Doc.Text()))
		if types[inner] != nil {
			if err := resultFields(b, types, inner, path+tag+suffix+"."); err != nil {
				return err
			}
		}
	}
	return nil
}

// resultKind names a type for readers of JSON, and the struct that it holds.
func resultKind(t ast.Expr) (kind, inner, suffix string) {
	switch t := t.(type) {
	case *ast.StarExpr:
		kind, inner, suffix = resultKind(t.X)
		return kind + " or null", inner, suffix
	case *ast.ArrayType:
		_, inner, _ = resultKind(t.Elt)
		return "list", inner, "[]"
	case *ast.MapType:
		_, inner, _ = resultKind(t.Value)
		return "object by metric", inner, ".METRIC"
	case *ast.Ident:
		switch t.Name {
		case "string":
			return "text", "", ""
		case "bool":
			return "true or false", "", ""
		case "float64":
			return "number", "", ""
		case "int", "int64", "uint64":
			return "whole number", "", ""
		}
		return "object", t.Name, ""
	}
	return "", "", ""
}
