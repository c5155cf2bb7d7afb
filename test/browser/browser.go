package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Browser is a running Chromium.
type Browser struct {
	cmd    *exec.Cmd
	to     *os.File
	from   *os.File
	reader sync.WaitGroup

	mu       sync.Mutex
	last     int
	waiting  map[int]chan message
	sessions map[string]*Page
	closed   bool
}

// message is one of the DevTools protocol: a call, its answer or an event.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// errGone says that the browser has ended.
var errGone = errors.New("the browser is gone")

// Start starts the program with an empty profile in dir.
func Start(program, dir string) (*Browser, error) {
	theirIn, to, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	b := &Browser{to: to, from: from, waiting: map[int]chan message{}, sessions: map[string]*Page{}}
	b.cmd = exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
		"--remote-debugging-pipe", "--user-data-dir="+dir, "about:blank")
	// Its processes are of one group, which Close waits for: they write to the profile.
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, where the browser looks for them
	err = b.cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	b.reader.Go(b.read)
	return b, nil
}

// endIn bounds the wait for processes that were killed, of which one that nobody waits for
// stays listed.
const endIn = 5 * time.Second

// Close ends the browser and waits until none of its processes is left.
func (b *Browser) Close() error {
	_, _ = b.call(context.Background(), "", "Browser.close", nil)
	b.to.Close()
	b.reader.Wait()
	b.from.Close()
	err := b.cmd.Wait()
	group := -b.cmd.Process.Pid
	for until := time.Now().Add(endIn); syscall.Kill(group, syscall.SIGKILL) == nil && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// read hands out what the browser says until it ends.
func (b *Browser) read() {
	r := bufio.NewReader(b.from)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			break
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if answer, ok := b.waiting[m.ID]; ok && m.ID != 0 {
			delete(b.waiting, m.ID)
			answer <- m
		} else if page := b.sessions[m.SessionID]; page != nil {
			page.heard(m)
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for id, answer := range b.waiting {
		delete(b.waiting, id)
		close(answer)
	}
}

// call calls a method and waits for its answer.
func (b *Browser) call(ctx context.Context, session, method string, params any) (json.RawMessage, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("encoding the parameters of %s: %w", method, err)
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, errGone
	}
	b.last++
	m := message{ID: b.last, SessionID: session, Method: method}
	if string(raw) != "null" {
		m.Params = raw
	}
	b.waiting[m.ID] = answer
	b.mu.Unlock()
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", method, err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		return nil, fmt.Errorf("calling %s: %w", method, err)
	}
	select {
	case got, ok := <-answer:
		switch {
		case !ok:
			return nil, fmt.Errorf("calling %s: %w", method, errGone)
		case got.Error != nil:
			return nil, fmt.Errorf("calling %s: %s", method, got.Error.Message)
		}
		return got.Result, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("calling %s: %w", method, context.Cause(ctx))
	}
}

// Page is a page that was opened.
type Page struct {
	browser *Browser
	session string
	// loaded are the documents that were loaded, by the id of what loaded them.
	loaded chan string

	// Under the browser's lock.
	url        string
	complaints []string
	requests   []string
}

// Open loads a page and returns once it is.
func (b *Browser) Open(ctx context.Context, url string) (*Page, error) {
	target, err := answer[struct {
		TargetID string `json:"targetId"`
	}](b.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank"}))
	if err != nil {
		return nil, err
	}
	attached, err := answer[struct {
		SessionID string `json:"sessionId"`
	}](b.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}))
	if err != nil {
		return nil, err
	}
	p := &Page{browser: b, session: attached.SessionID, loaded: make(chan string, documents), url: url}
	b.mu.Lock()
	b.sessions[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		if _, err := p.call(ctx, domain+".enable", nil); err != nil {
			return nil, err
		}
	}
	if _, err := p.call(ctx, "Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}); err != nil {
		return nil, err
	}
	went, err := answer[struct {
		LoaderID string `json:"loaderId"`
	}](p.call(ctx, "Page.navigate", map[string]any{"url": url}))
	if err != nil {
		return nil, err
	}
	for {
		select {
		case loader := <-p.loaded:
			if loader == went.LoaderID {
				return p, nil // and not the empty page before
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("loading %s: %w", url, context.Cause(ctx))
		}
	}
}

// documents bounds those that are loaded while one is waited for: the empty page, the
// page, and its frames.
const documents = 64

func (p *Page) call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	return p.browser.call(ctx, p.session, method, params)
}

func answer[T any](raw json.RawMessage, err error) (T, error) {
	var v T
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("decoding an answer: %w", err)
	}
	return v, nil
}

// heard notes an event; the browser's lock is held.
func (p *Page) heard(m message) {
	switch m.Method {
	case "Page.lifecycleEvent":
		var event struct {
			Name     string `json:"name"`
			LoaderID string `json:"loaderId"`
		}
		if json.Unmarshal(m.Params, &event) == nil && event.Name == "load" {
			select {
			case p.loaded <- event.LoaderID:
			default:
			}
		}
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
		p.complaints = append(p.complaints, m.Method+" "+string(m.Params))
	case "Network.requestWillBeSent":
		var sent struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		if json.Unmarshal(m.Params, &sent) != nil || sent.Request.URL != p.url && !strings.HasPrefix(sent.Request.URL, "data:") {
			p.requests = append(p.requests, sent.Request.URL)
		}
	}
}

// Complaints are what the page's console was told: messages, exceptions, dialogs
// and what the browser refused.
func (p *Page) Complaints() []string {
	p.browser.mu.Lock()
	defer p.browser.mu.Unlock()
	return append([]string(nil), p.complaints...)
}

// Requests are what was asked for besides the page itself.
func (p *Page) Requests() []string {
	p.browser.mu.Lock()
	defer p.browser.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Evaluate evaluates a JavaScript expression in the page, into v.
func (p *Page) Evaluate(ctx context.Context, expression string, v any) error {
	got, err := answer[struct {
		Result struct {
			Value       json.RawMessage `json:"value"`
			Description string          `json:"description"`
		} `json:"result"`
		Thrown *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}](p.call(ctx, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}))
	if err != nil {
		return err
	}
	if got.Thrown != nil {
		return fmt.Errorf("evaluating %q: %s %s", expression, got.Thrown.Text, got.Thrown.Exception.Description)
	}
	if err := json.Unmarshal(got.Result.Value, v); err != nil {
		return fmt.Errorf("decoding the value of %q: %w", expression, err)
	}
	return nil
}

// Show lays the page out for a window of that width and a colour scheme, "light"
// or "dark".
func (p *Page) Show(ctx context.Context, width int, scheme string) error {
	if _, err := p.call(ctx, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}); err != nil {
		return err
	}
	_, err := p.call(ctx, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
	return err
}
