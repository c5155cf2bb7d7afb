package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"

	"sigs.k8s.io/yaml"
)

// JSON prints a model indented. Characters that could steer a terminal are
// escaped, which JSON allows inside strings and which are nowhere else.
func JSON(w io.Writer, model any) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(model); err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	_, err := w.Write(escape(out.Bytes()))
	return err
}

// YAML prints a model as JSON prints it.
func YAML(w io.Writer, model any) error {
	out, err := yaml.Marshal(model)
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	_, err = w.Write(out)
	return err
}

func escape(in []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(in) {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) && r <= 0xffff {
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		}
		out.WriteRune(r)
	}
	return out.Bytes()
}
