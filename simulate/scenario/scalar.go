package scenario

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// text fills what reads itself. An error says what is wrong, so that the path is
// all that is added.
func (d *decoder) text(path string, n *yaml.Node, v reflect.Value) {
	if !d.isScalar(path, n) {
		return
	}
	var err error
	switch into := v.Addr().Interface().(type) {
	case *time.Duration:
		*into, err = parseDuration(n.Value)
	case *metav1.Duration:
		into.Duration, err = parseDuration(n.Value)
	case encoding.TextUnmarshaler:
		err = into.UnmarshalText([]byte(n.Value))
	case json.Unmarshaler:
		err = into.UnmarshalJSON(jsonOf(n))
	}
	if err != nil {
		d.fail(path, "%v", err)
	}
}

func parseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("%q has no unit: write a duration such as 90s, 25m or 6h", text)
	}
	duration, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration such as 90s, 25m or 6h", text)
	}
	if duration < 0 {
		return 0, fmt.Errorf("%q is negative", text)
	}
	return duration, nil
}

// jsonOf is a scalar as JSON has it.
func jsonOf(n *yaml.Node) []byte {
	if (n.Tag == "!!int" || n.Tag == "!!float") && json.Valid([]byte(n.Value)) {
		return []byte(n.Value)
	}
	quoted, err := json.Marshal(n.Value)
	if err != nil {
		return []byte(`""`)
	}
	return quoted
}

// isScalar refuses lists, mappings, nothing at all, and tags of other kinds.
func (d *decoder) isScalar(path string, n *yaml.Node) bool {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fail(path, "is a %s, want a single value", kindOf(n))
	case isNull(n):
		d.fail(path, "has no value")
	case !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, n.Tag):
		d.fail(path, "has the tag %s, which means nothing here", n.Tag)
	default:
		return true
	}
	return false
}

// kindOf names what a node is, for people.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	}
	return "single value"
}

// scalar fills numbers, words and truths.
func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value) {
	if !d.isScalar(path, n) {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if n.Tag == "!!bool" {
			d.fail(path, "is %s, want a word: put it into quotes", n.Value)
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if n.Tag != "!!bool" {
			d.fail(path, "is %q, want true or false", n.Value)
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			d.fail(path, "is %q, want a number", n.Value)
			return
		}
		v.SetFloat(f)
	default:
		d.integer(path, n, v)
	}
}

func (d *decoder) integer(path string, n *yaml.Node, v reflect.Value) {
	bits := v.Type().Bits()
	if v.CanUint() {
		u, err := strconv.ParseUint(n.Value, 10, bits)
		if err != nil {
			d.fail(path, "is %q, want a whole number from 0 to %d", n.Value, uint64(math.MaxUint64)>>(64-bits))
			return
		}
		v.SetUint(u)
		return
	}
	i, err := strconv.ParseInt(n.Value, 10, bits)
	if err != nil {
		d.fail(path, "is %q, want a whole number of at most %d", n.Value, int64(math.MaxInt64)>>(64-bits))
		return
	}
	v.SetInt(i)
}
