package script

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pullpace/pace/plugin"
)

func TestMain(m *testing.M) {
	run := func() {
		ctx, stop := plugin.Interruptible(context.Background())
		code := plugin.Main(ctx, plugin.System())
		stop()
		plugin.Exit(code)
	}
	testscript.Main(m, map[string]func(){"kubectl-pace": run, "pace": run})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("KUBECONFIG", "")
			env.Setenv("KUBERNETES_SERVICE_HOST", "")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"apiserver": apiserver},
	})
}

// apiserver starts an API server that answers every request with a status, and
// points KUBECONFIG to it: apiserver 403|401|500.
func apiserver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: apiserver CODE")
	}
	var code int
	if _, err := fmt.Sscan(args[0], &code); err != nil {
		ts.Fatalf("reading the code: %v", err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r, code) }))
	ts.Defer(server.Close)
	config := filepath.Join(ts.Getenv("WORK"), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c",
"clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{}}],
"contexts":[{"name":"c","context":{"cluster":"c","user":"u","namespace":"shop"}}]}`, server.URL)
	ts.Check(os.WriteFile(config, []byte(text), 0o600))
	ts.Setenv("KUBECONFIG", config)
}

// answer knows the discovery of Deployments; the rest gets code. The refusal has
// the wording of a real API server, and an escape that must not be obeyed.
func answer(w http.ResponseWriter, r *http.Request, code int) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/api":
		fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
	case "/apis":
		fmt.Fprint(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}`)
	case "/apis/apps/v1":
		fmt.Fprint(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps/v1","resources":[{"name":"deployments","kind":"Deployment","namespaced":true,"verbs":["get"]}]}`)
	default:
		reason := map[int]string{403: "Forbidden", 401: "Unauthorized", 500: "InternalError"}[code]
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"\u001b[31mUser \"kim\" cannot get resource \"deployments\" in API group \"apps\" in the namespace \"shop\""}`, reason, code)
	}
}
