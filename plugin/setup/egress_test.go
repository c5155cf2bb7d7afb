package setup

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pullpace/pace/manifests"
	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// authority is a certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestEgressIsChecked(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	tests := map[string]struct {
		egress Egress
		want   string // of the complaint
	}{
		"none":                   {Egress{}, ""},
		"all":                    {Egress{"http://proxy.corp:3128", ".corp,10.0.0.0/8", ca + ca}, ""},
		"a password":             {Egress{HTTPSProxy: "http://a:b@proxy.corp"}, "must not need a password"},
		"exceptions of nothing":  {Egress{NoProxy: ".corp"}, "give both"},
		"no certificate":         {Egress{Authorities: "hello"}, "does not begin with a certificate"},
		"a key":                  {Egress{Authorities: ca + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, "PRIVATE KEY"},
		"all that there are":     {Egress{Authorities: strings.Repeat(ca, 500)}, "are the most"},
		"escapes in the address": {Egress{HTTPSProxy: "http://proxy\x1b[31m"}, "must be of the form"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.egress.Validate()
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// TestEgressReachesTheController renders the real manifests and follows each key of
// the ConfigMap to an environment variable.
func TestEgressReachesTheController(t *testing.T) {
	t.Parallel()
	render := func(e Egress) (*appsv1.Deployment, *corev1.ConfigMap) {
		t.Helper()
		src := Source{Files: manifests.Files(), Base: manifests.Base, Image: manifests.Image, Controller: "pacer"}
		objects, err := Render(src, Override{Egress: e})
		if err != nil {
			t.Fatal(err)
		}
		var d *appsv1.Deployment
		var settings *corev1.ConfigMap
		for _, obj := range objects {
			switch obj.GetKind() + "/" + obj.GetName() {
			case "Deployment/pacer":
				d = &appsv1.Deployment{}
				err = runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, d)
			case "ConfigMap/" + EgressName:
				settings = &corev1.ConfigMap{}
				err = runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, settings)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if d == nil {
			t.Fatal("no controller is rendered")
		}
		return d, settings
	}
	e := Egress{"http://proxy.corp:3128", ".corp", authority(t)}
	d, settings := render(e)
	if settings == nil || settings.Namespace != v1alpha1.Namespace {
		t.Fatalf("ConfigMap %v", settings)
	}
	got := map[string]string{}
	for _, v := range d.Spec.Template.Spec.Containers[0].Env {
		if v.ValueFrom != nil && v.ValueFrom.ConfigMapKeyRef != nil {
			ref := v.ValueFrom.ConfigMapKeyRef
			if ref.Name != EgressName || ref.Optional == nil || !*ref.Optional {
				t.Errorf("%s reads %+v: a controller without the ConfigMap would not start", v.Name, ref)
			}
			got[v.Name] = settings.Data[ref.Key]
		}
	}
	for name, want := range map[string]string{"HTTPS_PROXY": e.HTTPSProxy, "NO_PROXY": e.NoProxy, "PROBE_AUTHORITIES": e.Authorities} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	mark := v1alpha1.Group + "/egress"
	other, _ := render(Egress{HTTPSProxy: "http://other.corp:3128"})
	if a, b := d.Spec.Template.Annotations[mark], other.Spec.Template.Annotations[mark]; a == "" || a == b {
		t.Errorf("marks %q and %q: a change would not reach a running controller", a, b)
	}
	plain, none := render(Egress{})
	if none != nil || plain.Spec.Template.Annotations[mark] != "" {
		t.Error("something is rendered for nothing")
	}
}
