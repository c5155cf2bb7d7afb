package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/simulate/trace"
)

// decisions are a trace of an engine that holds a pod for want of a reading.
func decisions(t *testing.T, version string) string {
	t.Helper()
	config := engine.Config{Seed: 7}
	e := engine.New(config)
	var text strings.Builder
	keep := func(r engine.Record) {
		line, err := engine.EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(line)
	}
	keep(engine.Record{At: now, Begin: &engine.Begin{Version: version, Config: config}})
	world := engine.World{Events: []engine.Event{
		{Account: &engine.Account{ID: "docker.io/anonymous", Host: "docker.io", Settings: quota.Settings{}}},
		{Node: &engine.Node{ID: "n1"}},
		{Pool: &engine.Pool{ID: "all", Nodes: []core.NodeID{"n1"}}},
		{Group: &engine.Group{ID: "g", Namespace: "shop", Workload: "Deployment/shop/api", Class: core.ClassRollout, Pool: "all",
			Images: []engine.ImageUse{{Image: "docker.io/acme/api:1", Accounts: []core.AccountID{"docker.io/anonymous"}}}}},
		{Pod: &engine.Pod{ID: "p1", Group: "g", Phase: engine.PodGated, Created: now.Add(-time.Minute), HoldUntil: now.Add(time.Hour)}},
	}}
	keep(engine.Record{At: now, Replace: &world})
	e.Replace(now, world)
	for i := range 3 {
		at := now.Add(time.Duration(i) * time.Second)
		answer, err := json.Marshal(e.Decide(at))
		if err != nil {
			t.Fatal(err)
		}
		keep(engine.Record{At: at, Decide: true, Decision: answer})
	}
	return text.String()
}

// readings are a trace of an account that is read every 20 s for ten minutes after 30
// pulls: units of a bucket of 100 in six hours come back every 216 s.
func readings(t *testing.T) string {
	t.Helper()
	config := engine.Config{}
	e := engine.New(config)
	var text strings.Builder
	keep := func(r engine.Record) {
		line, err := engine.EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(line)
	}
	see := func(at time.Time, ev engine.Event) {
		keep(engine.Record{At: at, Event: &ev})
		e.Observe(at, ev)
	}
	keep(engine.Record{At: now, Begin: &engine.Begin{Version: "v0.0.0-test", Config: config}})
	see(now, engine.Event{Account: &engine.Account{ID: "docker.io/anonymous", Host: "docker.io"}})
	see(now, engine.Event{Node: &engine.Node{ID: "n1"}})
	see(now, engine.Event{Pool: &engine.Pool{ID: "all", Nodes: []core.NodeID{"n1"}}})
	for i := range 30 {
		image := core.Image(fmt.Sprintf("docker.io/acme/api:%d", i))
		group := core.GroupID(image)
		see(now, engine.Event{Shape: &engine.ImageShape{Image: image, Manifests: 1}})
		see(now, engine.Event{Group: &engine.Group{ID: group, Namespace: "shop", Workload: "Deployment/shop/api", Class: core.ClassRollout, Pool: "all",
			Images: []engine.ImageUse{{Image: image, Accounts: []core.AccountID{"docker.io/anonymous"}}}}})
		for _, phase := range []engine.PodPhase{engine.PodBound, engine.PodPulled} {
			at := now.Add(time.Minute + time.Duration(i)*time.Millisecond)
			see(at, engine.Event{Pod: &engine.Pod{ID: core.PodID(group), Group: group, Phase: phase, Node: "n1", Created: now, Started: []core.Image{image}}})
		}
	}
	for since := 2 * time.Minute; since <= 12*time.Minute; since += 20 * time.Second {
		left := min(100, 70+int64((since-time.Minute)/(216*time.Second)))
		obs := quota.Observation{SentAt: now.Add(since), Status: 200, Header: quota.Header{
			Limit: 100, HasLimit: true, Remaining: core.Units(left), HasRemaining: true, Window: 6 * time.Hour}}
		see(now.Add(since), engine.Event{Reading: &engine.Reading{Account: "docker.io/anonymous", Observation: obs}})
	}
	answer, err := json.Marshal(e.Decide(now.Add(13 * time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	keep(engine.Record{At: now.Add(13 * time.Minute), Decide: true, Decision: answer})
	return text.String()
}

func TestReplayTellsHowALimitIsCounted(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{})
	h.env.In = strings.NewReader(readings(t))
	h.wants(h.run("simulate", "replay", "-"), ExitOK, "same", "docker.io/anonymous: 100 per 6h in 31 readings, counted as TokenBucket 100 %")
}

func TestReplayDecidesATraceAgain(t *testing.T) {
	t.Parallel()
	good := decisions(t, "v0.0.0-test")
	for name, tc := range map[string]struct {
		trace string
		code  int
		says  []string
	}{
		"same":              {good, ExitOK, []string{"same", "3 decisions", "byte for byte", "1 start"}},
		"a changed answer":  {strings.Replace(good, `"count":1`, `"count":2`, 1), ExitHold, []string{"differs", "decision 1", `"count":2`}},
		"another engine":    {strings.Replace(good, `"seed":7`, `"seed":8`, 1), ExitHold, []string{"differs", "decision 1, made at 2026-03-02T14:10:00Z, from byte 8 on"}},
		"another version":   {decisions(t, "v0.0.0-other"), ExitOK, []string{"same", "versions", "v0.0.0-other"}},
		"ended":             {good + `{"at":"2026-03-02T14:11:00Z","end":"the trace has reached 10 bytes"}` + "\n", ExitOK, []string{"same", "ended", "has reached 10 bytes"}},
		"nothing to decide": {strings.SplitAfter(good, "\n")[0], ExitHold, []string{"no decision"}},
		"without beginning": {strings.SplitAfterN(good, "\n", 2)[1], ExitError, []string{"does not say what the engine was made of"}},
		"empty":             {"", ExitError, []string{"holds no trace"}},
		"no trace":          {"kind: Scenario\n", ExitError, []string{"trace line 1"}},
		"an unknown field":  {`{"at":"2026-03-02T14:11:00Z","decide":true,"why":1}`, ExitError, []string{"why"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, interceptor.Funcs{})
			h.env.In = strings.NewReader(tc.trace)
			h.wants(h.run("simulate", "replay", "-"), tc.code, tc.says...)
		})
	}
}

// asks answers as a pod would.
func (h *harness) asks(answer func(pod string) ([]byte, error)) {
	connect := h.env.Connect
	h.env.Connect = func(flags *genericclioptions.ConfigFlags, o cluster.Options) (*cluster.Cluster, error) {
		c, err := connect(flags, o)
		c.Ask = func(_ context.Context, pod types.NamespacedName, port int, path string) ([]byte, error) {
			if port != v1alpha1.TracePort || path != "/v1/trace" {
				return nil, errors.New("asked for something else")
			}
			return answer(pod.String())
		}
		return c, err
	}
}

func TestRecordAsksTheReplicaThatTakesTurns(t *testing.T) {
	t.Parallel()
	leader := heartbeat(now)
	leader.Spec.HolderIdentity = new("pacer-b")
	for name, tc := range map[string]struct {
		err  error
		code int
		says string
	}{
		"kept":      {nil, ExitOK, `{"trace":1}`},
		"not kept":  {errors.New("dial tcp4 127.0.0.1:8082: connect: connection refused"), ExitError, "install --trace 64Mi"},
		"deposed":   {&cluster.AnswerError{Code: 503, Text: "NotLeader"}, ExitError, "try again"},
		"forbidden": {errors.New("pods/portforward is forbidden"), ExitError, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, interceptor.Funcs{}, leader.DeepCopy())
			h.asks(func(pod string) ([]byte, error) {
				if pod != "pullpace-system/pacer-b" {
					t.Errorf("pod %s was asked", pod)
				}
				return []byte(`{"trace":1}`), tc.err
			})
			h.wants(h.run("simulate", "record", "--decisions"), tc.code, tc.says)
		})
	}
	none := newHarness(t, interceptor.Funcs{})
	none.wants(none.run("simulate", "record", "--decisions"), ExitError, "not installed")
	none.wants(none.run("simulate", "record", "--decisions", "--all-namespaces"), ExitUsage, "--decisions takes neither")
	none.wants(none.run("simulate", "record", "--for", "0s"), ExitUsage, "--for is 0s")
}

// predicted is a scenario of one node that pulls two images from a registry that allows
// one a minute: the second pod waits for it, refused or held.
const predicted = `
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: two}
spec:
  replications: 3
  horizon: 1h
  registries: [{name: hub, host: hub.test, limiters: [{type: RollingLog, per: EgressIP, counts: Pull, limit: 1, window: 1m}]}]
  egress: [{name: nat}]
  nodePools: [{name: nodes, nodes: 1, egress: nat, podsPerNode: 10}]
  images: [{name: a, registry: hub, layers: [{digest: a, size: 1kB}]}, {name: b, registry: hub, layers: [{digest: b, size: 1kB}]}]
  workloads: [{name: a, image: a, replicas: 0}, {name: b, image: b, replicas: 0}]
  timeline: [{at: 0s, scale: {workload: a, replicas: 1}}, {at: 0s, scale: {workload: b, replicas: 1}}]
  policies: [{name: none, unpaced: {}}, {name: pace, pace: {}}]
`

func TestReplaySetsARunAgainstItsSimulation(t *testing.T) {
	t.Parallel()
	run := trace.Run{
		Begin: trace.Begin{At: now, Until: now.Add(2 * time.Minute), Version: "v1", Policy: "none"}, Scenario: predicted,
		Pods: []trace.Pod{
			{Namespace: "shop", Name: "a", Created: now, Ready: now.Add(time.Second), Pulls: []trace.Pull{{Image: "a", Pulled: now.Add(time.Second)}}},
			{Namespace: "shop", Name: "b", Created: now, Ready: now.Add(75 * time.Second), Pulls: []trace.Pull{{Image: "b", Pulled: now.Add(75 * time.Second), Throttled: 3}}},
		},
		Registry: []trace.Registry{{Host: "hub.test", Units: 2, Throttled: 15}},
	}
	without := run
	without.Scenario = ""
	files := map[string]string{
		"run": string(trace.Encode(run)), "without": string(trace.Encode(without)), "scenario": predicted,
		"broken": string(trace.Encode(run)) + "{", "decisions": decisions(t, "v0.0.0-test"),
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"its own scenario":     {[]string{"run"}, ExitOK, []string{"2 pods, simulated 3 times with policy none from scenario two", "unitsCharged", "pulls"}},
		"another policy":       {[]string{"run", "--policy", "pace"}, ExitOK, []string{"with policy pace"}},
		"another scenario":     {[]string{"without", "--scenario", "scenario"}, ExitOK, []string{"from scenario two"}},
		"no scenario":          {[]string{"without"}, ExitUsage, []string{"the scenario of without"}},
		"no such policy":       {[]string{"run", "--policy", "fast"}, ExitUsage, []string{`no policy "fast"`}},
		"a broken trace":       {[]string{"broken"}, ExitError, []string{"trace line"}},
		"policy for decisions": {[]string{"decisions", "--policy", "pace"}, ExitUsage, []string{"are for runs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, interceptor.Funcs{})
			h.env.ReadFile = func(name string) ([]byte, error) { return []byte(files[name]), nil }
			h.wants(h.run(append([]string{"simulate", "replay"}, tc.args...)...), tc.code, tc.says...)
		})
	}
}

func TestRecordWritesWhatNewPodsMeet(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{})
	h := newHarness(t, interceptor.Funcs{Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
		w, err := c.Watch(ctx, list, opts...)
		if _, pods := list.(*corev1.PodList); err != nil || !pods {
			return w, err
		}
		events := 0
		return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
			if events++; events == 2 {
				close(seen) // the first was taken then
			}
			return e, true
		}), nil
	}}, heldPod("old", "api"))
	end := make(chan time.Time)
	h.env.Tick = func(time.Duration) (<-chan time.Time, func()) { return end, func() {} }
	ended := make(chan int)
	go func() { ended <- h.run("simulate", "record", "--for", "1m") }()
	// Until the watches are there a pod is not seen: pods come until one was.
	go func() {
		var over chan time.Time
		for i := 0; ; i++ {
			if h.client.Create(t.Context(), heldPod("new-"+strconv.Itoa(i), "api")) != nil {
				return
			}
			select {
			case <-seen:
				over = end
			default:
			}
			select {
			case over <- now:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	code := <-ended
	h.wants(code, ExitOK, `{"run":{`, "recorded", `"name":"new-`)
	if strings.Contains(h.out.String(), `"name":"old"`) {
		t.Errorf("a pod that was there before is in the trace:\n%s", h.out.String())
	}
	if _, err := trace.Decode(h.out.Bytes()); err != nil {
		t.Errorf("%v\n%s", err, h.out.String())
	}
}
