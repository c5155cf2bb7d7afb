package scenario

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder fills values from the nodes of a file, by their types. It goes on after
// an error, so that all are found, and remembers the lines of what it read.
type decoder struct {
	errs Errors
	// bad are the paths of errs, broken those that one of them is in.
	bad      map[string]bool
	broken   map[string]bool
	lines    map[string]int
	fields   map[reflect.Type][]structField
	nodes    int
	defaults map[string][]readyDefault
	// rows are the defaults that were filled, filling says that one is being filled.
	rows    []Row
	filling bool
}

func newDecoder() *decoder {
	d := &decoder{bad: map[string]bool{}, broken: map[string]bool{}, lines: map[string]int{}, fields: map[reflect.Type][]structField{}, defaults: map[string][]readyDefault{}}
	for _, def := range Defaults() {
		d.defaults[def.Field] = append(d.defaults[def.Field], def.ready())
	}
	return d
}

// fail notes an error at a path; a field that the file does not have is looked for
// where it is missing.
func (d *decoder) fail(path, format string, args ...any) {
	at := path
	for d.lines[at] == 0 && at != "" {
		at = parentOf(at)
	}
	d.failAt(path, d.lines[at], format, args...)
}

// failAt notes an error whose line is known.
func (d *decoder) failAt(path string, line int, format string, args ...any) {
	d.bad[path] = true
	for in := path; in != "" && !d.broken[in]; in = parentOf(in) {
		d.broken[in] = true
	}
	d.errs = append(d.errs, Error{Path: path, Line: line, Problem: fmt.Sprintf(format, args...)})
}

// failed reports whether a field, or what it is in, was not understood: what
// follows from that is no further error.
func (d *decoder) failed(path string) bool {
	for ; path != ""; path = parentOf(path) {
		if d.bad[path] {
			return true
		}
	}
	return false
}

// parentOf is the path of what a field is in.
func parentOf(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

func child(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

var (
	durationType        = reflect.TypeFor[time.Duration]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonUnmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	namesType           = reflect.TypeFor[Names]()
	ownPackage          = reflect.TypeFor[Spec]().PkgPath()
)

// value fills v from a node. v is a zero value or holds its default.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value) {
	if d.nodes++; d.nodes > maxNodes {
		if d.nodes == maxNodes+1 {
			d.fail(path, "is where the file unfolds to more than %d values", maxNodes)
		}
		return
	}
	if len(d.errs) > maxErrors {
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.lines[path] == 0 && !d.filling {
		d.lines[path] = n.Line
	}
	switch t := v.Type(); {
	case t.Kind() == reflect.Pointer:
		d.pointer(path, n, v)
	case isText(t):
		d.text(path, n, v)
	case t == namesType && n.Kind == yaml.ScalarNode:
		if d.isScalar(path, n) {
			v.Set(reflect.ValueOf(Names{n.Value}))
		}
	case t.Kind() == reflect.Struct:
		d.structure(path, n, v)
	case t.Kind() == reflect.Slice:
		d.list(path, n, v)
	case t.Kind() == reflect.Map:
		d.mapping(path, n, v)
	default:
		d.scalar(path, n, v)
	}
}

// isText reports whether values of a type are read by themselves, from a scalar.
func isText(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t == durationType || p.Implements(textUnmarshalerType) || p.Implements(jsonUnmarshalerType)
}

// isNull reports whether nothing is written behind a name.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (d *decoder) pointer(path string, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		d.fail(path, "has no value: write {} if nothing is to be said, or leave the field out")
		return
	}
	v.Set(reflect.New(v.Type().Elem()))
	d.value(path, n, v.Elem())
}

func (d *decoder) list(path string, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(path, "is a %s, want a list", kindOf(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(path+"["+strconv.Itoa(i)+"]", item, out.Index(i))
	}
	v.Set(out)
}

// mapping fills a map with text as keys, whose values have a path such as
// budgets[hub].
func (d *decoder) mapping(path string, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	entries, ok := d.entries(path, n)
	if !ok {
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(entries))
	for _, e := range entries {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(path+"["+e.name+"]", e.value, item)
		out.SetMapIndex(reflect.ValueOf(e.name), item)
	}
	v.Set(out)
}

// entry is a name and its value in a mapping.
type entry struct {
	name  string
	line  int
	value *yaml.Node
}

// entries are the fields of a mapping, without those that are there twice.
func (d *decoder) entries(path string, n *yaml.Node) ([]entry, bool) {
	if n.Kind != yaml.MappingNode {
		d.fail(path, "is a %s, want a mapping of fields", kindOf(n))
		return nil, false
	}
	seen := map[string]int{}
	var out []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Tag == "!!merge":
			d.failAt(path, key.Line, "merges another mapping: write its fields out")
		case key.Kind != yaml.ScalarNode:
			d.failAt(path, key.Line, "has a name that is a %s", kindOf(key))
		case seen[key.Value] > 0:
			d.failAt(child(path, key.Value), key.Line, "is there twice, first in line %d", seen[key.Value])
		default:
			seen[key.Value] = key.Line
			out = append(out, entry{key.Value, key.Line, n.Content[i+1]})
		}
	}
	return out, true
}

// structure fills the fields of a struct and then the defaults of those that are
// not there.
func (d *decoder) structure(path string, n *yaml.Node, v reflect.Value) {
	var entries []entry
	if !isNull(n) {
		var ok bool
		if entries, ok = d.entries(path, n); !ok {
			return
		}
	}
	fields := d.fieldsOf(v.Type())
	given := map[string]string{}
	for _, e := range entries {
		full := child(path, e.name)
		i := slices.IndexFunc(fields, func(f structField) bool { return f.name == e.name })
		if i < 0 {
			d.failAt(full, e.line, "%s", unknown(e.name, fields))
			continue
		}
		d.lines[full] = e.line
		if isNull(e.value) && fields[i].kind != reflect.Pointer {
			continue
		}
		given[e.name] = e.value.Value
		d.value(full, e.value, v.Field(fields[i].index))
	}
	if v.Type().PkgPath() == ownPackage {
		d.complete(path, given, fields, v)
	}
}

// complete fills the defaults of fields that are not there and names those without
// which a type of this package means nothing. What the API's types require, their
// own validation knows.
func (d *decoder) complete(path string, given map[string]string, fields []structField, v reflect.Value) {
	for _, f := range fields {
		if _, ok := given[f.name]; ok {
			continue
		}
		full := child(path, f.name)
		if f.required {
			d.fail(full, "is missing")
		} else {
			d.fillDefault(full, given, f, v.Field(f.index))
		}
	}
}

// structField is a field of a struct by the name that files use.
type structField struct {
	name  string
	index int
	kind  reflect.Kind
	// required says that it may not be left out: its tag does not let it be empty.
	required bool
	// nested says that its own fields have defaults.
	nested bool
}

// fieldsOf are the fields of a struct.
func (d *decoder) fieldsOf(t reflect.Type) []structField {
	if known, ok := d.fields[t]; ok {
		return known
	}
	var out []structField
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			out = append(out, structField{
				name: name, index: f.Index[0], kind: f.Type.Kind(), required: options == "",
				nested: f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == ownPackage && !isText(f.Type),
			})
		}
	}
	d.fields[t] = out
	return out
}

// unknown says that there is no such field, and which may have been meant.
func unknown(name string, fields []structField) string {
	known := make([]string, len(fields))
	for i, f := range fields {
		if strings.EqualFold(f.name, name) {
			return fmt.Sprintf("is no field here; %s is", f.name)
		}
		known[i] = f.name
	}
	return "is no field here; there are " + strings.Join(known, ", ")
}

// patternOf is a path without places: what the table of defaults is written in.
func patternOf(path string) string {
	var b strings.Builder
	for rest := strings.TrimPrefix(path, "spec."); ; {
		before, after, indexed := strings.Cut(rest, "[")
		b.WriteString(before)
		if !indexed {
			return b.String()
		}
		b.WriteString("[]")
		_, rest, _ = strings.Cut(after, "]")
	}
}
