//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// fieldManager owns what the cluster itself applies.
const fieldManager = "test-cluster"

// source is a folder of CRDs in a Go module that a nested module pins.
type source struct{ module, path, pattern string }

// applyCRDs applies the CRDs of a module, one a file, and returns when the API server
// serves them. They are applied on the server: some are larger than an annotation may be.
func (c *Cluster) applyCRDs(ctx context.Context, sources ...source) error {
	client, err := dynamic.NewForConfig(c.rest)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	crds := client.Resource(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions"))
	for _, s := range sources {
		dir, err := c.builder.Source(ctx, s.module, s.path)
		if err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(dir, s.pattern))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("looking for CRDs of %s: %d files are like %q: %w", s.path, len(files), s.pattern, err)
		}
		for _, file := range files {
			if err := c.applyCRD(ctx, crds, file); err != nil {
				return fmt.Errorf("applying %s: %w", filepath.Base(file), err)
			}
		}
	}
	return nil
}

func (c *Cluster) applyCRD(ctx context.Context, crds dynamic.ResourceInterface, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var crd unstructured.Unstructured
	if err := yaml.Unmarshal(content, &crd.Object); err != nil {
		return err
	}
	if _, err := crds.Apply(ctx, crd.GetName(), &crd, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.until(ctx, crd.GetName(), func(ctx context.Context) error {
		got, err := crds.Get(ctx, crd.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		return established(got)
	})
}

// established says why the API server does not serve a CRD yet.
func established(crd *unstructured.Unstructured) error {
	conditions, _, err := unstructured.NestedSlice(crd.Object, "status", "conditions")
	if err != nil {
		return err
	}
	for _, condition := range conditions {
		if c, ok := condition.(map[string]any); ok && c["type"] == string(apiextensionsv1.Established) && c["status"] == "True" {
			return nil
		}
	}
	return errors.New("it is not established")
}
