package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// forbidden reads the API server's standard refusal; the wording is that of
// k8s.io/apiserver/pkg/endpoints/handlers/responsewriters.
var forbidden = regexp.MustCompile(`User "([^"]*)" cannot (\w+) resource "([^"]*)" in API group "([^"]*)"( at the cluster scope| in the namespace "([^"]*)")?`)

// Explain turns an error of the API into one that says what to do. An error that
// it does not know is returned as it is. program is how the reader calls the
// plugin.
func Explain(err error, program string) error {
	switch {
	case meta.IsNoMatchError(err):
		return fmt.Errorf("pace is not installed in this cluster: `%s install --dry-run` shows what it would create (%w)", program, err)
	case apierrors.IsForbidden(err):
		return explainForbidden(err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster does not accept these credentials: log in again, or choose another --context (%w)", err)
	case apierrors.IsConflict(err):
		return fmt.Errorf("somebody changed the object at the same time; nothing was written, run the command again (%w)", err)
	case errors.Is(err, context.DeadlineExceeded) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err):
		return fmt.Errorf("the cluster did not answer in time (%w)", err)
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("cannot reach the cluster; check --context and --server (%w)", err)
	}
	return err
}

// explainForbidden names the verb and the resource that are missing.
func explainForbidden(err error) error {
	m := forbidden.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	user, verb, resource, group, namespace := m[1], m[2], m[3], m[4], m[6]
	if group != "" {
		resource += "." + group
	}
	where := "in the whole cluster"
	if namespace != "" {
		where = "in namespace " + namespace
	}
	return &ForbiddenError{User: user, Verb: verb, Resource: resource, Where: where, err: err}
}

// ForbiddenError says what a user may not do.
type ForbiddenError struct {
	User, Verb, Resource, Where string

	err error
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("not allowed: user %q may not %s %s %s; nothing was changed. Ask for the role %s, or for that verb",
		e.User, e.Verb, e.Resource, e.Where, e.role())
}

// role is the least of Pace's roles that carries the verb.
func (e *ForbiddenError) role() string {
	switch {
	case e.Where == "in the whole cluster" && e.Verb != "get" && e.Verb != "list" && e.Verb != "watch":
		return "pace-admin"
	case e.Verb == "get" || e.Verb == "list" || e.Verb == "watch":
		return "pace-view"
	}
	return "pace-edit"
}

func (e *ForbiddenError) Unwrap() error { return e.err }
