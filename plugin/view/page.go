package view

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// page collects a screen and writes it once.
type page struct {
	style Style
	text  strings.Builder
}

// line adds one line. Arguments are cleaned, the format is ours.
func (p *page) line(format string, args ...any) {
	for i, arg := range args {
		args[i] = p.style.cleanArg(arg)
	}
	fmt.Fprintf(&p.text, format+"\n", args...)
}

// field adds "name      text" with names in one column.
func (p *page) field(name, format string, args ...any) {
	p.line("%-12s "+format, append([]any{name}, args...)...)
}

func (p *page) gap() { p.text.WriteByte('\n') }

// next names the command to go on with.
func (p *page) next(format string, args ...any) { p.field("next", format, args...) }

func (p *page) flush(w io.Writer) error {
	_, err := io.WriteString(w, p.text.String())
	return err
}

// table lays out rows in columns as wide as their widest cell. A column whose
// heading starts with '>' is aligned to the right.
type table struct {
	heads []string
	rows  [][]any // string, painted or fmt.Stringer
}

func (t *table) row(cells ...any) { t.rows = append(t.rows, cells) }

func (p *page) table(t table) {
	widths := make([]int, len(t.heads))
	for i, head := range t.heads {
		widths[i] = utf8.RuneCountInString(plain(strings.TrimPrefix(head, ">")))
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(plain(cell)))
		}
	}
	heads := make([]any, len(t.heads))
	for i, head := range t.heads {
		heads[i] = painted{strings.TrimPrefix(head, ">"), faint}
	}
	for _, row := range append([][]any{heads}, t.rows...) {
		p.tableRow(t.heads, widths, row)
	}
}

func (p *page) tableRow(heads []string, widths []int, row []any) {
	var line strings.Builder
	for i, cell := range row {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(plain(cell)))
		text := fmt.Sprint(p.style.cleanArg(cell))
		if strings.HasPrefix(heads[i], ">") {
			line.WriteString(pad + text)
		} else {
			line.WriteString(text + pad)
		}
		line.WriteString("  ")
	}
	p.text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// plain is a cell without colour.
func plain(cell any) string { return fmt.Sprint(Style{}.cleanArg(cell)) }
