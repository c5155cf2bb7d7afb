//go:build linux

package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// auditPolicy has the API server log who writes what Pace is ordered by.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch]
  resources:
  - {group: apps, resources: [deployments]}
  - {group: batch, resources: [jobs]}
  - {group: pullpace.dev, resources: [pullbudgets]}
- level: Metadata
  verbs: [update, patch]
  resources:
  - {group: "", resources: [pods, nodes]}
- level: None
`

// AuditEntry is a write as the API server logged it.
type AuditEntry struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Resource  string `json:"resource"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"objectRef"`
	// Annotations are what admission noted, by the webhook's name and a key.
	Annotations map[string]string `json:"annotations"`
}

// audited are the arguments that make the API server log writes.
func (c *Cluster) audited() ([]string, error) {
	policy := c.path("audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("writing the audit policy: %w", err)
	}
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + c.path("audit.log")}, nil
}

// Audit returns the writes that the API server has logged, oldest first.
func (c *Cluster) Audit() ([]AuditEntry, error) {
	if err := c.controlled(); err != nil {
		return nil, err
	}
	file, err := os.Open(c.path("audit.log"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	defer file.Close()
	return readAudit(file)
}

// readAudit reads one entry a line. The last line may be in the middle of being
// written.
func readAudit(r io.Reader) ([]AuditEntry, error) {
	var entries []AuditEntry
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		var e AuditEntry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		entries = append(entries, e)
	}
}
