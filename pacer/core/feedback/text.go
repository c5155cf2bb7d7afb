package feedback

import (
	"slices"
	"strings"
)

// tries are the messages of an aggregate: a kubelet tries one login after the other
// and puts what came of each into brackets, and runtimes do so with mirrors.
func tries(text string) []string {
	var parts []string
	for len(parts) < maxTries-1 {
		at, width := -1, 0
		for _, between := range [...]string{", rpc error: ", "], [", "] , [", "] ["} {
			if i := strings.Index(text, between); i >= 0 && (at < 0 || i < at) {
				at, width = i, len(between)
			}
		}
		if at < 0 {
			break
		}
		parts = append(parts, text[:at])
		text = text[at+width:]
	}
	return append(parts, strings.TrimSuffix(strings.TrimSpace(text), "]"))
}

// nameBefore are words after which comes a name, which may be any word.
var nameBefore = []string{"image \"", "reference \"", "short-name \"", "reading manifest "}

// withoutNames is a message without what somebody could name at will: addresses,
// paths and references become "_". An image may be called after an error.
func withoutNames(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for len(text) > 0 {
		end := strings.IndexAny(text, separators)
		if end == 0 {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		if end < 0 {
			end = len(text)
		}
		word := strings.TrimRight(text[:end], ":.;")
		if isName(word, b.String()) {
			word = "_"
		}
		b.WriteString(word)
		b.WriteString(text[len(strings.TrimRight(text[:end], ":.;")):end])
		text = text[end:]
	}
	return b.String()
}

// separators end a word.
const separators = " \t\r\n\"'`,{}[]()<>"

// isName reports whether a word is a name or an address, by what it is made of or by
// what comes before it. "i/o" and "net/http" are words.
func isName(word, before string) bool {
	if strings.Contains(word, "/") && word != "i/o" && word != "net/http" {
		return true
	}
	return slices.ContainsFunc(nameBefore, func(w string) bool { return strings.HasSuffix(before, w) })
}

// statusBefore are words after which a number is an HTTP status.
var statusBefore = []string{": ", "status ", "code ", "http ", "code=", "error ", "registry "}

// httpStatus is the first status of an error that a message tells; 0: none.
func httpStatus(text string) int {
	for i := 0; i+3 <= len(text); i++ {
		n := three(text[i:])
		if n < 400 || n > 599 || i+3 < len(text) && wordByte(text[i+3]) {
			continue
		}
		for _, w := range statusBefore {
			if strings.HasSuffix(text[:i], w) {
				return n
			}
		}
	}
	return 0
}

// three is the number that the first three bytes are; 0: none.
func three(text string) int {
	n := 0
	for i := range 3 {
		if text[i] < '0' || text[i] > '9' {
			return 0
		}
		n = 10*n + int(text[i]-'0')
	}
	return n
}

// wordByte reports whether a byte continues a number or word.
func wordByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b == '.'
}

// request is what was asked for when it failed, as far as the message tells.
type request struct {
	host string
	// registry says that it was the API of a registry, token that it was not and is
	// taken for a token service, blob that it was for a layer.
	registry, token, blob bool
	// mirrored says that the runtime asked a mirror: it names whose.
	mirrored bool
}

// requestBefore are words before the address of a request; others are advice.
var requestBefore = []string{"request to ", "status code ", "get \"", "head \"", "post \"", "get ", "head ", "post ", "://"}

// requested finds the last request that a message names. Messages also name pages
// to read, which are none; where only such an address is there, nothing was asked.
func requested(text string) request {
	var asked request
	for rest, from := text, 0; ; {
		i := strings.Index(rest, "://")
		if i < 0 {
			break
		}
		at := from + i
		scheme := at - len(trailingWord(text[:at]))
		address := text[at+3:]
		if end := strings.IndexAny(address, separators); end >= 0 {
			address = address[:end]
		}
		if r, ok := requestOf(text[:scheme], text[scheme:at], strings.TrimRight(address, ":;")); ok {
			asked = r
		}
		from = at + 3
		rest = text[from:]
	}
	if asked.host == "" {
		asked.host = hostOfManifest(text)
	}
	return asked
}

// trailingWord is the letters at the end of a text.
func trailingWord(text string) string {
	i := len(text)
	for i > 0 && text[i-1] >= 'a' && text[i-1] <= 'z' {
		i--
	}
	return text[i:]
}

// requestOf reads an address as that of a request; false: it is not one.
func requestOf(before, scheme, address string) (request, bool) {
	host, path, _ := strings.Cut(address, "/")
	host, _, _ = strings.Cut(host, "?")
	if scheme == "docker" { // CRI-O names what it copies from
		return request{host: host}, host != ""
	}
	if scheme != "http" && scheme != "https" || host == "" {
		return request{}, false
	}
	path, query, _ := strings.Cut(path, "?")
	r := request{host: host, registry: path == "v2" || strings.HasPrefix(path, "v2/")}
	r.blob = r.registry && strings.Contains(path, "/blobs/")
	r.mirrored = r.registry && (strings.HasPrefix(query, "ns=") || strings.Contains(query, "&ns="))
	asked := r.registry
	for _, w := range requestBefore {
		asked = asked || strings.HasSuffix(before, w)
	}
	r.token = asked && !r.registry && strings.Contains("/"+path, "/token")
	return r, asked
}

// hostOfManifest is the host that CRI-O names before it fails: "reading manifest TAG
// in HOST/PATH".
func hostOfManifest(text string) string {
	_, rest, found := strings.Cut(text, "reading manifest ")
	if !found {
		return ""
	}
	_, rest, found = strings.Cut(rest, " in ")
	if !found {
		return ""
	}
	host, _, slash := strings.Cut(rest, "/")
	if !slash || strings.ContainsAny(host, separators) {
		return ""
	}
	return host
}
