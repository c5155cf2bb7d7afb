package puller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// userAgent is that of the runtime whose requests are made.
const userAgent = "containerd/v2.4.2"

// attempts are how often in all containerd 2.4 sends a request that is answered 429.
const attempts = 5

// accepted are the kinds of manifest that a runtime takes.
var accepted = strings.Join([]string{
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.OCIImageIndex), "*/*",
}, ", ")

// image is what a pull brings.
type image struct {
	ref, repo, digest string
	size              int64
}

// pull asks a registry for an image as containerd does when it lacks it: a HEAD that
// resolves the tag, a GET of what it names and, if that is an index, of the manifest for
// this machine.
func pull(ctx context.Context, client *http.Client, text string) (image, error) {
	ref, err := name.ParseReference(text)
	if err != nil {
		return image{}, fmt.Errorf("failed to parse image %q: %w", text, err)
	}
	fail := func(err error) (image, error) {
		return image{}, fmt.Errorf("failed to pull and unpack image %q: %w", ref.Name(), err)
	}
	head, err := ask(ctx, client, http.MethodHead, ref, ref.Identifier())
	if err != nil {
		return image{}, fmt.Errorf("failed to pull and unpack image %q: failed to resolve reference %q: %w", ref.Name(), ref.Name(), err)
	}
	got, err := ask(ctx, client, http.MethodGet, ref, head.digest)
	if err != nil {
		return fail(fmt.Errorf("failed to copy: httpReadSeeker: failed open: %w", err))
	}
	found := image{ref: ref.Name(), repo: ref.Context().Name(), digest: head.digest, size: int64(len(got.body))}
	if !types.MediaType(got.kind).IsIndex() {
		return found, nil
	}
	child, err := platform(got.body)
	if err != nil {
		return fail(err)
	}
	if _, err := ask(ctx, client, http.MethodGet, ref, child); err != nil {
		return fail(fmt.Errorf("failed to copy: httpReadSeeker: failed open: %w", err))
	}
	return found, nil
}

// answer is what a registry said.
type answer struct {
	digest, kind string
	body         []byte
}

// ask sends a request, and again where it is answered 429.
func ask(ctx context.Context, client *http.Client, method string, ref name.Reference, what string) (answer, error) {
	url := fmt.Sprintf("%s://%s/v2/%s/manifests/%s", ref.Context().Scheme(), ref.Context().RegistryStr(), ref.Context().RepositoryStr(), what)
	var err error
	for range attempts {
		var got answer
		var status int
		if got, status, err = send(ctx, client, method, url); status != http.StatusTooManyRequests {
			return got, err
		}
	}
	return answer{}, err
}

func send(ctx context.Context, client *http.Client, method, url string) (answer, int, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return answer{}, 0, err
	}
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Accept", accepted)
	response, err := client.Do(request)
	if err != nil {
		return answer{}, 0, fmt.Errorf("failed to do request: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, 0, fmt.Errorf("failed to read: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return answer{}, response.StatusCode, refusal(method, url, response.Status, body)
	}
	return answer{digest: response.Header.Get("Docker-Content-Digest"), kind: response.Header.Get("Content-Type"), body: body}, response.StatusCode, nil
}

// refusal is what containerd 2.4 says of an answer that is no success.
func refusal(method, url, status string, body []byte) error {
	said := fmt.Sprintf("unexpected status from %s request to %s: %s", method, url, status)
	var protocol struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(body, &protocol) == nil {
		for _, e := range protocol.Errors {
			said += "\n" + strings.ToLower(strings.ReplaceAll(e.Code, "_", "")) + ": " + e.Message
		}
	}
	return errors.New(said)
}

// platform is the manifest of an index that is for this machine.
func platform(body []byte) (string, error) {
	var index v1.IndexManifest
	if err := json.Unmarshal(body, &index); err != nil {
		return "", fmt.Errorf("failed to read an index: %w", err)
	}
	for _, m := range index.Manifests {
		if m.Platform != nil && m.Platform.OS == "linux" && m.Platform.Architecture == runtime.GOARCH {
			return m.Digest.String(), nil
		}
	}
	return "", errors.New("no match for platform in manifest: not found")
}
