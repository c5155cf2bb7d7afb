package quota

import "time"

// ParseHeader reads what a registry says of its limit, in any of the dialects in
// use. get returns the value of a header by its canonical name, or "", as
// http.Header.Get does. now turns absolute times into durations. Malformed
// fields are ignored, as if absent; it never fails.
func ParseHeader(get func(name string) string, now time.Time) Header {
	_ = get
	_ = now
	return Header{}
}
