package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	type params = map[string]string
	tests := map[string]struct {
		fields []string
		want   []challenge
	}{
		"nothing": {[]string{"", " , "}, nil},
		"Docker Hub": {
			[]string{`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"`},
			[]challenge{{"bearer", params{"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:a/b:pull"}}},
		},
		"two in one field": {
			[]string{`Basic realm="a, b=\"c\"" , Bearer REALM = "https://x" , service=y`},
			[]challenge{{"basic", params{"realm": `a, b="c"`}}, {"bearer", params{"realm": "https://x", "service": "y"}}},
		},
		"two fields": {
			[]string{`Negotiate`, `bEARER realm=https://x/token,service=y`},
			[]challenge{{"negotiate", params{}}, {"bearer", params{"realm": "https://x/token", "service": "y"}}},
		},
		"the first of two realms": {
			[]string{`Bearer realm="a",realm="b"`}, []challenge{{"bearer", params{"realm": "a"}}},
		},
		"a string without end": {
			[]string{`Bearer service=s,realm="https://x`, `Bearer realm="\`},
			[]challenge{{"bearer", params{"service": "s"}}, {"bearer", params{}}},
		},
		"no scheme": {[]string{`="x"`, `"Bearer"`}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parseChallenges(tc.fields)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(challenge{})); diff != "" {
				t.Errorf("challenges (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{`Bearer realm="https://x",service=y`, `Basic realm="\"", Bearer a=b`, `a="`, `,,=`, "\x00 \xff=\"\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := parseChallenges([]string{s, s})
		if len(got) > maxChallenges {
			t.Errorf("%d challenges", len(got))
		}
		for _, ch := range got {
			if ch.scheme == "" || len(ch.params) > maxParams {
				t.Errorf("challenge %+v", ch)
			}
			for name, value := range ch.params {
				if name == "" || len(value) > len(s) {
					t.Errorf("parameter %q=%q", name, value)
				}
			}
		}
	})
}

func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[31m", "\u202e\u009b", "\xff\xfe", "éééé"} {
		f.Add(seed, "secret")
	}
	c := &Client{user: "robot", pass: "hunter2"}
	f.Fuzz(func(t *testing.T, s, secret string) {
		got := c.foreign(s, secret)
		if len(got) > maxText || printable(got) != got {
			t.Errorf("%q is too long or not printable", got)
		}
	})
}
