package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxDockerConfig is as large as a Secret can be.
const maxDockerConfig = 1 << 20

// ErrNoCredentials says that a dockerconfigjson has no entry for a host.
var ErrNoCredentials = errors.New("no entry for the registry")

// dockerAuth is one entry of a dockerconfigjson.
type dockerAuth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"` // base64 of username:password
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// Credentials finds the login for a host, as in image references, in the
// content of a Secret of type kubernetes.io/dockerconfigjson. Entries may be
// URLs, and the names of Docker Hub are one. An entry for a path within the host is
// not used, and neither is one with a wildcard, such as *.azurecr.io, which a kubelet
// would take: below many such domains anybody may have a registry, and whoever names
// the host need not be whoever owns the password. Without an entry the error is
// ErrNoCredentials. No error repeats any of the content.
func Credentials(dockerconfigjson []byte, host string) (user, password string, err error) {
	if len(dockerconfigjson) > maxDockerConfig {
		return "", "", fmt.Errorf("reading dockerconfigjson: it is larger than %d bytes", maxDockerConfig)
	}
	var file struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(dockerconfigjson, &file); err != nil {
		return "", "", errors.New(`reading dockerconfigjson: it is not JSON of the form {"auths": {"host": {...}}}`)
	}
	raw, ok := entry(file.Auths, authHost(host))
	if !ok {
		return "", "", fmt.Errorf("reading dockerconfigjson: %w %s; it must name the host itself", ErrNoCredentials, printable(host))
	}
	var a dockerAuth
	if err := json.Unmarshal(raw, &a); err != nil {
		return "", "", fmt.Errorf("reading dockerconfigjson: the entry for %s is malformed", printable(host))
	}
	user, password, err = a.login()
	if err != nil {
		return "", "", fmt.Errorf("reading dockerconfigjson: the entry for %s %w", printable(host), err)
	}
	return user, password, nil
}

// entry finds the entry that names a host, of several the first in order.
func entry(auths map[string]json.RawMessage, host string) (json.RawMessage, bool) {
	if host == "" {
		return nil, false
	}
	for _, k := range slices.Sorted(maps.Keys(auths)) {
		if authHost(k) == host {
			return auths[k], true
		}
	}
	return nil, false
}

// authHost is the host that the key of an entry stands for, "" if it is for a
// part of the host only.
func authHost(key string) string {
	key = strings.ToLower(strings.TrimSpace(key))
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, rest, _ := strings.Cut(key, "/")
	switch strings.Trim(rest, "/") {
	case "", "v1", "v2":
	default:
		return ""
	}
	host = strings.TrimSuffix(host, ":443")
	if isHub(host) {
		return hubName
	}
	return host
}

// login is the user and password of an entry. Its errors continue a sentence
// that begins with the entry.
func (a dockerAuth) login() (user, password string, err error) {
	user, password = a.Username, a.Password
	if a.Auth != "" {
		plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(a.Auth), "="))
		if err != nil {
			return "", "", errors.New("has an auth field that is not base64")
		}
		var ok bool
		if user, password, ok = strings.Cut(string(plain), ":"); !ok {
			return "", "", errors.New("has an auth field that is not username:password")
		}
		password = strings.TrimRight(password, "\x00")
	}
	switch {
	case (user == "" || password == "") && (a.IdentityToken != "" || a.RegistryToken != ""):
		return "", "", errors.New("holds a token only: give a username and a password or access token")
	case user == "" || password == "":
		return "", "", errors.New("has no username and password")
	case hasControl(user) || hasControl(password) || strings.Contains(user, ":"):
		return "", "", errors.New("has a username or password that cannot be sent: it contains control characters or a colon")
	}
	return user, password, nil
}
