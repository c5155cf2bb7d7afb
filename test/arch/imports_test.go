package arch

import (
	"slices"
	"strings"
	"testing"
)

// layer is a folder and the folders of this module that it may import besides
// what is below itself.
type layer struct {
	folder string
	may    []string
	why    string
}

// layers lists every folder with code; the first that matches a package counts.
func layers() []layer {
	return []layer{
		{"pacer/core/engine/enginetest", []string{"pacer/core", "simulate/kernel", "simulate/limiter"},
			"the scenarios of the engine are judged by the same bound as simulations"},
		{"pacer/core", nil,
			"the decision code runs in the cluster, in the simulator and in a dry run: it may know none of them"},
		{"pacer/api", []string{"pacer/core"}, "types and their conversion to core, which exists once"},
		{"pacer/gate", []string{"pacer/api"}, "what is written on objects and taken off again, for those who must not share the decision code too"},
		{"pacer/heartbeat", []string{"pacer/api"}, "signs of life, for those who must not share the decision code too"},
		{"pacer/kube", []string{"pacer/core", "pacer/api", "pacer/gate"}, "cluster objects <-> core, with the API types that select them"},
		{"pacer/shadow", []string{"pacer/core"}, "what would have been decided is decided by the engine and known by nobody else"},
		{"pacer/registry", []string{"pacer/core"}, "probes know a registry and readings, no cluster"},
		{"pacer/proof", []string{"pacer/api"}, "the controller and the plugin ask the same question, and neither decides anything by it"},
		{"pacer/probe", []string{"pacer/core", "pacer/registry"}, "what asks from an egress group knows readings and registries, and nothing of what is paced"},
		{"pacer/failsafe", []string{"pacer/api", "pacer/gate", "pacer/heartbeat"},
			"what lets go when the controller is gone must not share the decision code that may be what is broken"},
		{"pacer/controller", []string{"pacer"}, "the composition root of the controller"},
		{"simulate/kernel", nil, "an event queue knows nothing of registries"},
		{"simulate/report", nil, "figures and pages of a result, which scenarios name and the plugin shows"},
		{"simulate/search", []string{"simulate/report"}, "what varies a scenario is given what runs it"},
		{"simulate", []string{"pacer/core", "pacer/api"}, "the simulator decides with the very engine of the controller, and needs no cluster"},
		{"plugin/view", []string{"simulate/report", "simulate/search"}, "views are pure: a model in, text out; what simulations come to is such a model"},
		{"plugin", []string{"simulate", "pacer/core", "pacer/kube", "pacer/api", "pacer/gate", "pacer/registry", "pacer/proof", "manifests", "docs"},
			"the plugin talks to the API server, not to the controller's code"},
		{"release", []string{"plugin", "manifests"}, "what is published is built from the sources and describes itself by the plugin's manifests"},
		{"cmd", []string{"plugin", "pacer/controller", "pacer/failsafe", "pacer/probe", "pacer/registry"}, "commands only wire"},
		{"manifests", nil, "embedded files"},
		{"docs", []string{"pacer", "plugin", "simulate", "manifests"}, "reference pages are made from the code"},
		{"test", []string{"cmd", "plugin", "pacer", "simulate", "manifests", "release"}, "tests may use everything"},
	}
}

// planned are folders that need not exist yet.
var planned = []string{"pacer/failsafe", "pacer/controller", "simulate"}

func layerOf(folder string) (layer, bool) {
	for _, l := range layers() {
		if within(folder, l.folder) {
			return l, true
		}
	}
	return layer{}, false
}

func TestPackagesImportOnlyWhatTheirLayerMay(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range load(t) {
		l, ok := layerOf(p.folder())
		if !ok {
			t.Errorf("%s is in no layer: add it to the table with a reason", p.folder())
			continue
		}
		seen[l.folder] = true
		for _, path := range p.Imports {
			folder, internal := strings.CutPrefix(path, module+"/")
			if internal && !within(folder, append(l.may, l.folder)...) {
				t.Errorf("%s imports %s, but %s may import %v only: %s", p.folder(), folder, l.folder, l.may, l.why)
			}
		}
	}
	for _, l := range layers() {
		if !seen[l.folder] && !slices.Contains(planned, l.folder) {
			t.Errorf("no package is in layer %s: the rule guards nothing", l.folder)
		}
	}
}

// pureImports are what the decision code and the kernel of the simulator may
// import of the standard library: nothing that does I/O, blocks or reads a clock
// at its surface (the package time has its own rule).
var pureImports = []string{
	"bytes", "cmp", "container/heap", "encoding/json", "errors", "fmt", "iter", "maps", "math", "math/bits", "math/rand/v2",
	"net/netip", "slices", "strconv", "strings", "time",
}

// pureFolders are under the rules of purity.
var pureFolders = []string{"pacer/core", "pacer/shadow", "simulate/kernel", "simulate/identify", "simulate/limiter", "simulate/model", "simulate/policy"}

// modelImports are what the models of the simulator need besides: digests of
// their event logs.
var modelImports = []string{"crypto/sha256", "encoding/binary", "encoding/hex", "hash"}

func TestCoreImportsOnlyPureStandardPackages(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, p := range load(t) {
		if !within(p.folder(), pureFolders...) || testOnly(p) {
			continue
		}
		checked++
		for _, path := range p.Imports {
			if strings.HasPrefix(path, module+"/") || slices.Contains(pureImports, path) {
				continue
			}
			if within(p.folder(), "simulate") && slices.Contains(modelImports, path) {
				continue
			}
			t.Errorf("%s imports %q: it may do no I/O, read no clock and depend on nobody, so that the same events give the same decisions everywhere; allowed are %v",
				p.folder(), path, pureImports)
		}
	}
	if checked < 4 {
		t.Errorf("%d pure packages were checked, want core, quota, feedback and engine at least", checked)
	}
}

// testOnly reports whether a package exists for tests alone, as enginetest does.
func testOnly(p goPackage) bool { return strings.HasSuffix(p.Name, "test") }

// ban forbids a package to folders.
type ban struct {
	path    string
	folders []string // "" is the whole module
	except  []string
	// tests says that test files are under the ban too.
	tests bool
	why   string
}

func bans() []ban {
	return []ban{
		{path: "testing", except: []string{"test", "docs"}, why: "a program must not carry the flags of the test binary"},
		{path: "log", except: []string{"test"}, why: "it is a global; code logs through logr from its context"},
		{path: "math/rand", tests: true, why: "it is seeded globally; math/rand/v2 with a source of its own repeats"},
		{path: "io/ioutil", tests: true, why: "os and io have it all"},
		{path: "net/http/pprof", why: "it registers itself on a global mux"},
		{path: "expvar", why: "it registers itself on a global mux"},
		{path: "k8s.io/client-go/kubernetes", folders: []string{"plugin/view", "simulate"}, why: "views and the simulator need no cluster"},
		{path: "k8s.io/api/core/v1", folders: []string{"plugin/view", "pacer/registry", "simulate"}, why: "only pacer/kube and those that act on objects know them"},
	}
}

func (b ban) covers(folder string) bool {
	return (len(b.folders) == 0 || within(folder, b.folders...)) && !within(folder, b.except...)
}

func TestBannedPackagesAreNotImported(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		for _, b := range bans() {
			imports := p.Imports
			if b.tests {
				imports = slices.Concat(imports, p.TestImports, p.XTestImports)
			}
			if b.covers(p.folder()) && slices.Contains(imports, b.path) && !(b.path == "testing" && testOnly(p)) {
				t.Errorf("%s imports %q: %s", p.folder(), b.path, b.why)
			}
		}
	}
}

// TestBannedPackagesExist keeps a ban from guarding a name that was mistyped or
// has moved.
func TestBannedPackagesExist(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, b := range bans() {
		paths = append(paths, b.path)
	}
	paths = append(paths, pureImports...)
	paths = append(paths, modelImports...)
	pkgs, err := list(append([]string{"-e"}, paths...)...)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, p := range pkgs {
		found[p.ImportPath] = p.Dir != ""
	}
	for _, path := range paths {
		if !found[path] {
			t.Errorf("%q is in a rule, but there is no such package", path)
		}
	}
	for _, folder := range bannedFolders() {
		exists := slices.ContainsFunc(load(t), func(p goPackage) bool { return within(p.folder(), folder) })
		if !exists && !slices.Contains(planned, folder) {
			t.Errorf("%s is in a rule, but there is no such folder", folder)
		}
	}
}

func bannedFolders() []string {
	var out []string
	for _, b := range bans() {
		out = append(out, b.folders...)
	}
	return out
}

func TestOnlyTheEnvUsesOS(t *testing.T) {
	t.Parallel()
	users := map[string]bool{}
	for _, p := range load(t) {
		if !within(p.folder(), "plugin") {
			continue
		}
		for _, s := range parse(t, p) {
			for _, imp := range s.file.Imports {
				if imp.Path.Value == `"os"` {
					users[s.name] = true
				}
			}
		}
	}
	if !users["plugin/env.go"] {
		t.Error("plugin/env.go does not use os: the rule guards nothing")
	}
	delete(users, "plugin/env.go")
	for name := range users {
		t.Errorf("%s imports os: only the Env of the plugin touches the machine, so that commands are tested whole", name)
	}
}
