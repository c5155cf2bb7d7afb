//go:build linux

package feedback

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/plugin/doctor"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// doctorCases plant faults on real nodes and have doctor find them. The case comes
// first, since it looks at the whole cluster: what another leaves would be found too.
func doctorCases(b builder) []suite.Case {
	c := b.on("doctor", stage.Options{NoBudget: true, NotPaced: true}, diagnosed)
	c.First = true
	return []suite.Case{c}
}

// fault is something that is wrong with pulls from one registry, and what doctor is to
// make of it.
type fault struct {
	name                  string
	options               stage.Options
	check, class, limiter string
	// plant makes it, before there are pods; it returns what ends it.
	plant func(ctx context.Context, s *stage.Stage) (image string, end func(), err error)
}

// refusing plants a denial.
func refusing(d registry.Denial, kinds ...registry.Kind) func(context.Context, *stage.Stage) (string, func(), error) {
	return injecting(registry.Refusing(d, kinds...))
}

func injecting(f registry.Fault) func(context.Context, *stage.Stage) (string, func(), error) {
	return func(_ context.Context, s *stage.Stage) (string, func(), error) { return "", s.Host.Inject(f), nil }
}

// faults are those that can be planted on real nodes. What nodes of this kind cannot be
// made to do, as a kubelet's own limit, a full disk or CRI-O, is planted in fixtures.
func faults() []fault {
	plain := stage.Options{NoBudget: true, NotPaced: true}
	login := plain
	login.Login, login.Strict = true, true
	lenient := login
	lenient.Strict = false
	quota := registry.Denial{Message: "Quota exceeded for quota metric 'Requests per project per region' of service 'artifactregistry.googleapis.com' for consumer 'project_number:1'."}
	return []fault{
		{"pull-limit", plain, doctor.CheckThrottled, "Throttled", "pull", refusing(registry.HubDenial(), registry.ManifestGET)},
		{"request-limit", plain, doctor.CheckThrottled, "Throttled", "request", refusing(registry.GHCRDenial(), registry.ManifestGET)},
		{"abuse-limit", plain, doctor.CheckThrottled, "Throttled", "abuse", refusing(registry.HubAbuseDenial(), registry.ManifestGET)},
		{"upstream-limit", plain, doctor.CheckThrottled, "Throttled", "upstream", refusing(registry.Denial{Message: "too many requests to upstream registry"}, registry.ManifestGET)},
		{"owners-quota", plain, doctor.CheckThrottled, "Throttled", "foreign", refusing(quota, registry.ManifestGET)},
		{"bare-429", plain, doctor.CheckThrottled, "Throttled", "unsaid", injecting(registry.HeadThrottled())},
		{"token-limit", login, doctor.CheckThrottled, "Throttled", "token", tokensRefused},
		{"bad-password", login, doctor.CheckAuth, "Auth", "", passwordTaken},
		{"no-tag", plain, doctor.CheckBadTag, "NotFound", "", noTag},
		{"other-platform", plain, doctor.CheckPlatform, "WrongPlatform", "", otherPlatform},
		{"registry-down", plain, doctor.CheckUnreachable, "Reset", "", injecting(registry.Unreachable())},
		{"registry-503", plain, doctor.CheckUnreachable, "Reset", "", injecting(registry.Failing(503))},
		{"name-broken", plain, doctor.CheckDNS, "DNS", "", nameBroken},
		{"strange-authority", plain, doctor.CheckTLS, "TLS", "", strangeAuthority},
		{"spare-secret", plain, doctor.CheckAnonymous, "", "", spareSecret},
		{"downgraded", lenient, doctor.CheckAnonymous, "", "", downgraded},
		{"latest", plain, doctor.CheckAlways, "", "", latest},
	}
}

func tokensRefused(_ context.Context, s *stage.Stage) (string, func(), error) {
	return "", s.Tokens.Inject(registry.Refusing(registry.Denial{}, registry.Token)), nil
}

func passwordTaken(_ context.Context, s *stage.Stage) (string, func(), error) {
	s.Tokens.SetPasswords(s.Name, "another")
	return "", func() {}, nil
}

func noTag(_ context.Context, s *stage.Stage) (string, func(), error) {
	return s.Host.Name() + "/app:typo", func() {}, nil
}

// otherPlatform has an image for another kind of machine alone.
func otherPlatform(ctx context.Context, s *stage.Stage) (string, func(), error) {
	other := "linux/arm64"
	if runtime.GOARCH == "arm64" {
		other = "linux/amd64"
	}
	image := s.Host.Name() + "/other:1"
	return image, func() {}, s.Push(ctx, image, other)
}

// nameBroken keeps the name of the registry from one node.
func nameBroken(_ context.Context, s *stage.Stage) (string, func(), error) {
	node := s.Cluster.Nodes()[stage.Nodes-1]
	node.SetNameBroken(s.Host.Name(), true)
	return "", func() { node.SetNameBroken(s.Host.Name(), false) }, nil
}

// strangeAuthority is a registry whose certificate nobody here knows.
func strangeAuthority(_ context.Context, s *stage.Stage) (string, func(), error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(s.Cluster.HostAddress().String(), "0"))
	if err != nil {
		return "", nil, fmt.Errorf("opening a port: %w", err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Listener, server.Config.ErrorLog = listener, log.New(io.Discard, "", 0)
	server.StartTLS()
	name := "strange." + s.Host.Name()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return name + ":" + port + "/app:1", server.Close, s.Reach(name)
}

// spareSecret is a login that no pod uses.
func spareSecret(ctx context.Context, s *stage.Stage) (string, func(), error) {
	return "", func() {}, s.PullSecret(ctx, s.Name, spare, s.Host.Name(), s.Name, stage.Password)
}

// downgraded takes a user's password away at a registry that then serves as anonymous,
// and refuses the anonymous.
func downgraded(_ context.Context, s *stage.Stage) (string, func(), error) {
	s.Tokens.SetPasswords(s.Name, "another")
	return "", s.Host.Inject(registry.Refusing(registry.HubDenial(), registry.ManifestGET)), nil
}

func latest(ctx context.Context, s *stage.Stage) (string, func(), error) {
	image := s.Host.Name() + "/app:latest"
	return image, func() {}, s.Push(ctx, image)
}

// planted is a fault in place.
type planted struct {
	fault
	*stage.Stage
	host string
}

// diagnosed has doctor look at a cluster that is well, and at the same with many faults
// at once. It finds nothing in the one and each of them in the other, and no registry
// is asked for it.
func diagnosed(ctx context.Context, s *scene, r *suite.Report) error {
	if err := s.Deploy(ctx, "well", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "well"); err != nil {
		return err
	}
	began := time.Now()
	if err := stage.Poll(ctx, "a healthy cluster to be called so", func(ctx context.Context) (bool, string, error) {
		d, err := look(ctx, s, 0)
		return d.Verdict == doctor.Healthy, fmt.Sprintf("%s: %v", d.Summary, d.Names()), err
	}); err != nil {
		return err
	}
	list, end, err := plant(ctx, s)
	defer end()
	if err != nil {
		return err
	}
	var d view.Diagnosis
	err = stage.Poll(ctx, "each of the faults to be found", func(ctx context.Context) (bool, string, error) {
		var err error
		if d, err = look(ctx, s, 3); err != nil {
			return false, "", err
		}
		missing := missed(d, list)
		return len(missing) == 0, fmt.Sprintf("not found: %v", missing), nil
	})
	r.Note("faults", len(list))
	r.Note("findings", len(d.Findings))
	if err == nil {
		err = narrow(ctx, s, list)
	}
	err = all(err, spentNothing(s, list, began))
	if err != nil {
		return err
	}
	// Their pods would be tried for as long as the suite runs.
	for _, p := range list {
		err = all(err, p.Clear(ctx))
	}
	return err
}

// plant makes every fault, with pods on every node that meet it.
func plant(ctx context.Context, s *scene) (list []planted, end func(), err error) {
	var ends []func()
	end = func() {
		for _, f := range ends {
			f()
		}
	}
	for _, f := range faults() {
		st, err := s.New(ctx, s.Name+"-"+f.name, f.options)
		if err != nil {
			return list, end, err
		}
		image, lift, err := f.plant(ctx, st)
		if err != nil {
			return list, end, fmt.Errorf("planting %s: %w", f.name, err)
		}
		ends = append(ends, lift)
		d, err := st.Deployment(ctx, "app", stage.Nodes)
		if err != nil {
			return list, end, err
		}
		host := st.Host.Name()
		if image != "" {
			d.Spec.Template.Spec.Containers[0].Image = image
			host, _, _ = strings.Cut(image, "/")
		}
		if err := s.Create(ctx, d); err != nil {
			return list, end, err
		}
		list = append(list, planted{f, st, host})
	}
	return list, end, nil
}

// look runs doctor and reads what it says; it must end with that code.
func look(ctx context.Context, s *scene, code int, args ...string) (d view.Diagnosis, err error) {
	out := s.Kubectl(ctx, append([]string{"pace", "doctor", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out.Stdout), &d); err != nil {
		return d, fmt.Errorf("reading what doctor says: %w: %s", err, out)
	}
	if out.Code != code {
		return d, fmt.Errorf("doctor ends with %d, want %d: %s", out.Code, code, d.Summary)
	}
	return d, nil
}

// missed are the faults that are not among the findings, or not as what they are.
func missed(d view.Diagnosis, list []planted) (names []string) {
	for _, p := range list {
		if !slices.ContainsFunc(d.Findings, func(f view.Finding) bool { return p.is(f) }) {
			names = append(names, p.name)
		}
	}
	return names
}

// is reports whether a finding is of the fault.
func (p planted) is(f view.Finding) bool {
	here := f.Registry == p.host || slices.ContainsFunc(f.Objects, func(o string) bool { return strings.HasPrefix(o, p.Stage.Name+"/") })
	return here && f.Check == p.check && f.Class == p.class && f.Limiter == p.limiter
}

// narrow looks at each workload alone: the page is of its fault and of no other's.
func narrow(ctx context.Context, s *scene, list []planted) (err error) {
	for _, p := range list {
		d, also := look(ctx, s, 3, "deploy/app", "-n", p.Stage.Name)
		if also != nil {
			err = all(err, fmt.Errorf("%s: %w", p.name, also))
			continue
		}
		limited := p.check == doctor.CheckThrottled
		if len(missed(d, []planted{p})) > 0 || p.class != "" && limited != (d.Verdict == doctor.RateLimited) {
			err = all(err, fmt.Errorf("%s alone: %s (%s): %v", p.name, d.Verdict, d.Summary, d.Names()))
		}
		for _, f := range d.Findings {
			if f.Class != "" && f.Registry != p.host {
				err = all(err, fmt.Errorf("%s alone: finds %s of %s, which is another's", p.name, f.Check, f.Registry))
			}
		}
	}
	if _, also := look(ctx, s, 0, "deploy/well", "-n", s.Name); also != nil {
		err = all(err, fmt.Errorf("a workload that is well: %w", also))
	}
	return err
}

// spentNothing complains of every request that is not a node's: nothing but doctor ran
// beside them, for no PullBudget is there to ask for.
func spentNothing(s *scene, list []planted, from time.Time) error {
	hosts := []string{s.Host.Name()}
	for _, p := range list {
		hosts = append(hosts, p.Host.Name())
	}
	for _, host := range hosts {
		asked := s.Registry.Log().Entries(registry.Filter{Host: host, NotBefore: from, Where: func(e registry.Entry) bool {
			return !strings.Contains(e.UserAgent, stage.Runtime)
		}})
		if len(asked) > 0 {
			return fmt.Errorf("%d requests to %s are not of a node; the first: %+v", len(asked), host, asked[0])
		}
	}
	return nil
}
