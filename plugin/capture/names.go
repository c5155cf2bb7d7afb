package capture

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// Names are what things are called in the file. They are the same for the same
// thing, and different for different ones.
type Names struct {
	// salt keys the hashes; nil keeps the names.
	salt []byte
}

// Plain keeps the names of the cluster.
func Plain() Names { return Names{} }

// Anonymous replaces every name by a hash with a salt. Whoever does not know the
// salt can neither go back nor try names; who draws it forgets it after the run.
func Anonymous(salt []byte) Names { return Names{salt: salt} }

// hashLetters are of a hash, five bits each: enough for any two names of a cluster
// to differ.
const hashLetters = 13

// hidden reports whether names are hashed.
func (n Names) hidden() bool { return n.salt != nil }

// of is what a thing of a kind is called.
func (n Names) of(kind, name string) string {
	if n.hidden() {
		return kind + "-" + n.hash(kind, name)
	}
	clean := strings.Trim(strings.Map(keep, name), "._/:@-")
	if clean == name && len(name) <= maxName {
		return name
	}
	if len(clean) > maxName-hashLetters-1 {
		clean = clean[:maxName-hashLetters-1]
	}
	return clean + "-" + n.hash(kind, name)
}

// host is what a registry host is called.
func (n Names) host(host string) string {
	if n.hidden() {
		return "registry-" + n.hash("registry", host) + ".invalid"
	}
	return host
}

// maxName is how long a name of a scenario may be.
const maxName = 253

// keep maps what no name of a scenario has to a dash.
func keep(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._/:@-", r):
		return r
	}
	return '-'
}

func (n Names) hash(kind, name string) string {
	mac := hmac.New(sha256.New, n.salt)
	mac.Write([]byte(kind + "\x00" + name))
	return strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)))[:hashLetters]
}
