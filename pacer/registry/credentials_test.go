package registry_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pullpace/pace/pacer/registry"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	entry := func(key string) string {
		return fmt.Sprintf(`{"auths": {"other.test": 7, %q: {"auth": %q, "email": "x"}}, "credHelpers": {}}`, key, auth)
	}
	tests := map[string]struct {
		file, host string
		want       string // of the error; "" for the robot's login
	}{
		"by host":               {entry("registry.test"), "registry.test", ""},
		"by host and port":      {entry("registry.test:5000"), "registry.test:5000", ""},
		"another port":          {entry("registry.test:5000"), "registry.test", "no entry"},
		"the port of https":     {entry("registry.test:443"), "Registry.Test", ""},
		"by URL":                {entry("https://registry.test/v2/"), "registry.test", ""},
		"Docker Hub as login":   {entry("https://index.docker.io/v1/"), "docker.io", ""},
		"Docker Hub by name":    {entry("docker.io"), "registry-1.docker.io", ""},
		"Docker Hub's registry": {entry("registry-1.docker.io"), "docker.io", ""},
		"a wildcard":            {entry("*.azurecr.test"), "team.azurecr.test", "no entry"},
		"one label only":        {entry("*.azurecr.test"), "a.b.azurecr.test", "no entry"},
		"a malformed wildcard":  {entry("[*.test"), "a.test", "no entry"},
		"a path":                {entry("registry.test/team"), "registry.test", "no entry"},
		"no host":               {entry("registry.test/team"), "", "no entry"},
		"fields":                {`{"auths":{"registry.test":{"username":"robot","password":"` + password + `"}}}`, "registry.test", ""},
		"without padding":       {`{"auths":{"registry.test":{"auth":"` + strings.TrimRight(auth, "=") + `"}}}`, "registry.test", ""},
		"the host before a wildcard": {
			`{"auths":{"*.test":{"auth":"x"},"registry.test":{"auth":"` + auth + `"}}}`, "registry.test", ""},
		"empty":           {``, "registry.test", "not JSON"},
		"null":            {`null`, "registry.test", "no entry"},
		"a list":          {`{"auths": []}`, "registry.test", "not JSON"},
		"a broken entry":  {entry("registry.test"), "other.test", "malformed"},
		"an empty entry":  {`{"auths":{"registry.test":{}}}`, "registry.test", "no username"},
		"a null entry":    {`{"auths":{"registry.test":null}}`, "registry.test", "no username"},
		"bad base64":      {`{"auths":{"registry.test":{"auth":"` + password + `"}}}`, "registry.test", "not base64"},
		"no colon":        {`{"auths":{"registry.test":{"auth":"cm9ib3Q="}}}`, "registry.test", "not username:password"},
		"identity token":  {`{"auths":{"registry.test":{"auth":"cm9ib3Q6","identitytoken":"tok-secret"}}}`, "registry.test", "a token only"},
		"a line break":    {`{"auths":{"registry.test":{"username":"robot","password":"` + password + `\n"}}}`, "registry.test", "control characters"},
		"too large":       {strings.Repeat(" ", 1<<20) + `{}`, "registry.test", "larger"},
		"deeper than any": {strings.Repeat(`{"auths":`, 1<<14), "registry.test", "not JSON"},
		"escapes in host": {`{}`, "\x1b[31m", "no entry"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, p, err := registry.Credentials([]byte(tc.file), tc.host)
			if tc.want == "" {
				if err != nil || u != user || p != password {
					t.Errorf("got %q %q, %v", u, p, err)
				}
				return
			}
			checkError(t, err, tc.want)
			if u != "" || p != "" {
				t.Errorf("got %q %q with an error", u, p)
			}
			if got, want := errors.Is(err, registry.ErrNoCredentials), tc.want == "no entry"; got != want {
				t.Errorf("ErrNoCredentials: %t, want %t", got, want)
			}
		})
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte(`{"auths":{"registry.test":{"auth":"cm9ib3Q6eA=="}}}`), "registry.test")
	f.Add([]byte(`{"auths":{"*.test":{"username":"a","password":"b"}}}`), "x.test")
	f.Add([]byte(`{"auths":{"https://index.docker.io/v1/":null}}`), "docker.io")
	f.Add([]byte("{\"auths\":{\"\":\"\xff\"}}"), "")
	f.Fuzz(func(t *testing.T, file []byte, host string) {
		u, p, err := registry.Credentials(file, host)
		if (err == nil) != (u != "" && p != "") {
			t.Errorf("got %q %q, %v", u, p, err)
		}
		if err != nil {
			return
		}
		if _, err := registry.New(registry.Config{Host: "registry.test", Username: u, Password: p}); err != nil {
			t.Errorf("the login cannot be used: %v", err)
		}
	})
}
