package cluster

import (
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Manager is the tool that owns an object and would undo an edit by hand.
type Manager struct {
	// Tool is "Argo CD", "Flux" or "Helm"; empty: none of them.
	Tool string
	// Object names the tool's object, where the marks tell.
	Object string
}

// ManagedBy reads who owns obj from the marks that the tools leave on what they
// apply.
func ManagedBy(obj client.Object) Manager {
	labels, notes := obj.GetLabels(), obj.GetAnnotations()
	switch {
	case notes["argocd.argoproj.io/tracking-id"] != "":
		return Manager{Tool: "Argo CD", Object: notes["argocd.argoproj.io/tracking-id"]}
	case labels["argocd.argoproj.io/instance"] != "":
		return Manager{Tool: "Argo CD", Object: labels["argocd.argoproj.io/instance"]}
	case labels["app.kubernetes.io/instance"] != "" && argoWrote(obj):
		return Manager{Tool: "Argo CD", Object: labels["app.kubernetes.io/instance"]}
	case labels["kustomize.toolkit.fluxcd.io/name"] != "":
		return Manager{Tool: "Flux", Object: "Kustomization " + flux(labels, "kustomize.toolkit.fluxcd.io")}
	case labels["helm.toolkit.fluxcd.io/name"] != "":
		return Manager{Tool: "Flux", Object: "HelmRelease " + flux(labels, "helm.toolkit.fluxcd.io")}
	case notes["meta.helm.sh/release-name"] != "":
		return Manager{Tool: "Helm", Object: "release " + notes["meta.helm.sh/release-name"]}
	case labels["app.kubernetes.io/managed-by"] == "Helm":
		return Manager{Tool: "Helm"}
	}
	return Manager{}
}

// argoWrote reports whether Argo CD owns a field of obj: its tracking label is one
// that others use too.
func argoWrote(obj client.Object) bool {
	for _, entry := range obj.GetManagedFields() {
		if strings.HasPrefix(entry.Manager, "argocd") {
			return true
		}
	}
	return false
}

func flux(labels map[string]string, prefix string) string {
	return labels[prefix+"/namespace"] + "/" + labels[prefix+"/name"]
}
