package release

import (
	"crypto/sha256"
	"fmt"

	"sigs.k8s.io/yaml"
)

// PluginPlatforms are what the plugin is published for.
func PluginPlatforms() []Platform {
	return []Platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}}
}

// binary is the plugin's file, archive that of its archive.
func (p Platform) binary() string {
	if p.OS == "windows" {
		return "kubectl-pace.exe"
	}
	return "kubectl-pace"
}

func (p Platform) archive() string {
	suffix := ".tar.gz"
	if p.OS == "windows" {
		suffix = ".zip"
	}
	return "kubectl-pace-" + p.OS + "-" + p.Arch + suffix
}

// krewPlugin is the part of krew's Plugin that is used.
// Source: krew.sigs.k8s.io/docs/developer-guide/plugin-manifest.
type krewPlugin struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       krewSpec          `json:"spec"`
}

type krewSpec struct {
	Version          string         `json:"version"`
	Homepage         string         `json:"homepage"`
	ShortDescription string         `json:"shortDescription"`
	Description      string         `json:"description"`
	Caveats          string         `json:"caveats"`
	Platforms        []krewPlatform `json:"platforms"`
}

type krewPlatform struct {
	Selector krewSelector `json:"selector"`
	URI      string       `json:"uri"`
	Sha256   string       `json:"sha256"`
	Files    []krewFile   `json:"files"`
	Bin      string       `json:"bin"`
}

type krewSelector struct {
	MatchLabels map[string]string `json:"matchLabels"`
}

type krewFile struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// archived is one archive of the plugin.
type archived struct {
	platform Platform
	content  []byte
}

// manifest is what krew installs the archives by.
func manifest(version string, archives []archived) ([]byte, error) {
	spec := krewSpec{
		Version: version, Homepage: "https://" + modulePath,
		ShortDescription: "Pace rollouts against the registries' pull limits",
		Description: "Treats the pulls that a registry will still allow as a resource, and admits\n" +
			"rollouts, scale-ups and new nodes against it. It is never in the pull path:\n" +
			"it only decides when a pod may go ahead.\n",
		Caveats: "Read-only until `kubectl pace install`. Start with `kubectl pace doctor`.\n" +
			"Completion: kubectl pace completion kubectl > ~/.krew/bin/kubectl_complete-pace\n" +
			"            chmod +x ~/.krew/bin/kubectl_complete-pace\n",
	}
	for _, a := range archives {
		spec.Platforms = append(spec.Platforms, krewPlatform{
			Selector: krewSelector{MatchLabels: map[string]string{"os": a.platform.OS, "arch": a.platform.Arch}},
			URI:      fmt.Sprintf("https://%s/releases/download/%s/%s", modulePath, version, a.platform.archive()),
			Sha256:   fmt.Sprintf("%x", sha256.Sum256(a.content)),
			Files:    []krewFile{{From: "*", To: "."}},
			Bin:      a.platform.binary(),
		})
	}
	text, err := yaml.Marshal(krewPlugin{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin",
		Metadata: map[string]string{"name": "pace"}, Spec: spec,
	})
	if err != nil {
		return nil, fmt.Errorf("writing the krew manifest: %w", err)
	}
	return text, nil
}
