package scenario

// Row is a default that is in force: a field that the file left out, what it is
// then, and where that comes from.
type Row struct {
	Path   string `json:"path"`
	Value  string `json:"value"`
	Source string `json:"source"`
}
