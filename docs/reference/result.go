package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"

	"github.com/pullpace/pace/plugin/doctor"
	"github.com/pullpace/pace/simulate/report"
)

// Result is the page of what simulations come to, from the source of its types and
// the list of metrics.
func Result(source []byte) (string, error) {
	types, docs, err := structs(source)
	if err != nil {
		return "", fmt.Errorf("parsing the types of results: %w", err)
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

// Diagnosis is the page of what doctor prints as JSON, from the source of its types,
// and of its checks.
func Diagnosis(source []byte) (string, error) {
	types, docs, err := structs(source)
	if err != nil {
		return "", fmt.Errorf("parsing the types of a diagnosis: %w", err)
	}
	var b strings.Builder
	b.WriteString(generated + "# Diagnosis\n\nWhat `doctor -o json` prints, and `-o yaml`. " + paragraph(docs["Diagnosis"]) + " What to do about it: [doctor](../doctor.md).\n\n| field | type | meaning |\n| --- | --- | --- |\n")
	if err := resultFields(&b, types, "Diagnosis", ""); err != nil {
		return "", err
	}
	b.WriteString("\n## Checks\n\nThe values of `findings[].check`, `clear[]` and `unknown[].check`, in order: ")
	b.WriteString("`" + strings.Join(doctor.Checks(), "`, `") + "`.\n")
	return b.String(), nil
}

// structs are the types of a source that have fields, and what is said of each.
func structs(source []byte) (types map[string]*ast.StructType, docs map[string]string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), "types.go", source, parser.ParseComments)
	if err != nil {
		return nil, nil, err
	}
	types, docs = map[string]*ast.StructType{}, map[string]string{}
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
	return types, docs, nil
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
	case *ast.SelectorExpr: // time.Time is the only type of another package
		return "time", "", ""
	}
	return "", "", ""
}
