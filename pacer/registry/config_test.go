package registry_test

import (
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/registry"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  registry.Config
		want string
	}{
		"no host":               {registry.Config{}, "not a registry host"},
		"a URL for a host":      {registry.Config{Host: "https://registry.test"}, "not a registry host"},
		"a path":                {registry.Config{Host: "registry.test/team"}, "not a registry host"},
		"a user in the host":    {registry.Config{Host: "robot@registry.test"}, "not a registry host"},
		"escapes":               {registry.Config{Host: "\x1b[31mregistry"}, "not a registry host"},
		"http":                  {registry.Config{Host: "a.test", Endpoint: "http://b.test"}, "https://host"},
		"a password in the URL": {registry.Config{Host: "a.test", Endpoint: "https://robot:" + password + "@b.test"}, "https://host"},
		"a path in the URL":     {registry.Config{Host: "a.test", Endpoint: "https://b.test/v2"}, "https://host"},
		"a query in the URL":    {registry.Config{Host: "a.test", Endpoint: "https://b.test?x"}, "https://host"},
		"a control in the URL":  {registry.Config{Host: "a.test", Endpoint: "https://b.test\n" + password}, "https://host"},
		"a realm URL":           {registry.Config{Host: "a.test", RealmHosts: []string{"https://b.test"}}, "token service"},
		"half a login":          {registry.Config{Host: "a.test", Password: password}, "together"},
		"a colon":               {registry.Config{Host: "a.test", Username: "a:b", Password: password}, "colon"},
		"a newline":             {registry.Config{Host: "a.test", Username: user, Password: password + "\n"}, "trailing newline"},
		"an agent of two lines": {registry.Config{Host: "a.test", UserAgent: "a\r\nb"}, "user agent"},
		"time backwards":        {registry.Config{Host: "a.test", Timeout: -time.Second}, "timeout"},
		"no certificate":        {registry.Config{Host: "a.test", CABundle: []byte("x")}, "PEM"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := registry.New(tc.cfg)
			if c != nil {
				t.Error("a client came with the error")
			}
			if err == nil {
				t.Fatal("no error")
			}
			checkError(t, err, tc.want)
		})
	}
}

func TestForeignNamesAreNotAskedFor(t *testing.T) {
	t.Parallel()
	n := wire(t, demands())
	c := n.client(t, registry.Config{Host: "registry.test"})
	for _, s := range []string{"", "/", "Team/app", "team/../app", "team/app?x", "team/app:", "team/app@sha256:abc",
		"team/app:a/b", "https://evil.test/app", "evil.test:5000/app", "team/app\r\nX: y", "team/%2e%2e/app", "\x1b[31m"} {
		if _, err := c.Probe(t.Context(), s); err == nil {
			t.Errorf("%q was asked for", s)
		} else {
			checkError(t, err, "not a repository or image on registry.test")
		}
		if _, _, err := c.Shape(t.Context(), s); err == nil {
			t.Errorf("the shape of %q was asked for", s)
		}
	}
	if got := n.hosts(); len(got) != 0 {
		t.Errorf("dialled %q", got)
	}
}

func TestDefaultRepository(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"docker.io": preview, "index.docker.io": preview, "Docker.io": preview, "ghcr.io": ""} {
		if got := registry.DefaultRepository(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
