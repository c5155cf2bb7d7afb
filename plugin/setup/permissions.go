package setup

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pullpace/pace/plugin/view"
)

// Permissions lists the rules of every role in the manifests.
func Permissions(objects []*unstructured.Unstructured) (view.Permissions, error) {
	var all view.Permissions
	for _, obj := range objects {
		if kind := obj.GetKind(); kind != "ClusterRole" && kind != "Role" {
			continue
		}
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &role); err != nil {
			return all, fmt.Errorf("reading role %s: %w", obj.GetName(), err)
		}
		where := "cluster"
		if obj.GetKind() == "Role" {
			where = obj.GetNamespace()
		}
		for _, rule := range role.Rules {
			all.Rules = append(all.Rules, permissions(obj.GetName(), where, rule)...)
		}
	}
	return all, nil
}

func permissions(who, where string, rule rbacv1.PolicyRule) []view.Permission {
	var list []view.Permission
	for _, resource := range rule.Resources {
		for _, group := range rule.APIGroups {
			full := resource
			if group != "" {
				full += "." + group
			}
			for _, name := range rule.ResourceNames {
				list = append(list, view.Permission{Who: who, Where: where, Resource: full + "/" + name, Verbs: rule.Verbs})
			}
			if len(rule.ResourceNames) == 0 {
				list = append(list, view.Permission{Who: who, Where: where, Resource: full, Verbs: rule.Verbs})
			}
		}
	}
	for _, url := range rule.NonResourceURLs {
		list = append(list, view.Permission{Who: who, Where: where, Resource: url, Verbs: rule.Verbs})
	}
	return list
}
