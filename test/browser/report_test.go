package browser_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/plugin"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/test/browser"
)

// harm is a name that a page must show and not obey.
const harm = `</title></h1><script>document.title='owned'</script><img src=x onerror="document.title='owned'">"'<b>`

func ptr(v float64) *float64 { return &v }

// result is 300 pods against a limit of 100 in an hour, paced and not.
func result(name string) report.Result {
	r := report.Result{Scenario: name, ScenarioSHA256: strings.Repeat("5c", 32), Version: "v0.0.0-test", Seed: 42, Replications: 1, HorizonSeconds: 86400, LogSHA256: strings.Repeat("7b", 32)}
	for i, policy := range []string{"none", name, "pace"} {
		raw := report.Raw{Pulls: 300, UnitsCharged: 300, Throttled: int64(8000 * (2 - i)), Events: 1000}
		curves := map[report.Kind][]report.Point{}
		for n := range 300 {
			at := time.Duration(n/100)*time.Hour + time.Duration((n%100)*(5-i))*time.Second
			raw.Took, raw.ReadyAt, raw.LastPull = append(raw.Took, at), append(raw.ReadyAt, at), at
			for kind, value := range map[report.Kind]float64{
				report.Remaining: float64(100 - n%100), report.Ready: float64(n), report.Throttled: float64(n * 27 * (2 - i)), report.InFlight: float64(n % 30),
			} {
				curves[kind] = append(curves[kind], report.Point{Seconds: at.Seconds(), Value: value})
			}
		}
		p := report.NewPolicy(policy, raw, report.Bound{Seconds: ptr(7200), WithReserveSeconds: ptr(10800), LimitedBy: "registries[hub].limiters[0]"})
		for _, kind := range []report.Kind{report.Remaining, report.Ready, report.Throttled, report.InFlight} {
			s := report.Series{Kind: kind, Points: curves[kind]}
			if kind == report.Remaining {
				s.Name = "registries[hub].limiters[0]"
			}
			p.Series = append(p.Series, s)
		}
		r.Policies = append(r.Policies, p)
	}
	r.Goals = []report.Goal{{Policy: "pace", Metric: "throttled", Op: "==", Actual: ptr(0), Met: true}, {Policy: name, Metric: "throttled", Op: "==", Actual: ptr(8000), MissedIn: 1}}
	return r
}

// open writes the page of a result to a file and opens it.
func open(t *testing.T, ctx context.Context, b *browser.Browser, r report.Result) *browser.Page {
	t.Helper()
	var page bytes.Buffer
	noError(t, report.HTML(&page, r))
	file := filepath.Join(t.TempDir(), "report.html")
	noError(t, os.WriteFile(file, page.Bytes(), 0o644))
	p, err := b.Open(ctx, (&url.URL{Scheme: "file", Path: file}).String())
	noError(t, err)
	return p
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T) (context.Context, *browser.Browser) {
	t.Helper()
	program := browser.Require(t)
	b, err := browser.Start(program, t.TempDir())
	noError(t, err)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("the browser ended with %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx, b
}

// seen is what the browser shows of a page.
type seen struct {
	Title, Heading, Verdict string
	Policies                []string
	Goals                   []string
	Plots                   []plot
	Overflow                float64
	Scripts, Images         int
	Background              string
	// Text and Curves are the least contrasts to what is behind.
	Text, Curves float64
}

// plot is one picture, in pixels of the screen.
type plot struct {
	Title string
	// Lines are how many points each curve has, Wide how much of the picture's width
	// it spans, Outside how many points are not within the axes.
	Lines   []int
	Wide    []float64
	Outside int
	Colors  int
	Bounds  []string
	Width   float64
	Height  float64
	Ticks   int
}

const look = `(() => {
  const text = s => [...document.querySelectorAll(s)].map(e => e.innerText.trim());
  const luminance = c => { const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const contrast = (a, b) => { const [h, l] = [luminance(a), luminance(b)].sort((x, y) => y - x); return (h + .05) / (l + .05); };
  const back = getComputedStyle(document.body).backgroundColor;
  const card = getComputedStyle(document.querySelector('figure')).backgroundColor;
  const plots = [...document.querySelectorAll('figure')].map(f => {
    const svg = f.querySelector('svg.plot'), frame = svg.getBoundingClientRect();
    const axis = svg.querySelector('line.axis:not([y1="164"][y2="169"])').getBoundingClientRect();
    const grid = [...svg.querySelectorAll('line.grid')].map(l => l.getBoundingClientRect());
    const top = Math.min(...grid.map(g => g.top)), bottom = Math.max(...grid.map(g => g.top));
    const lines = [...svg.querySelectorAll('polyline')];
    const at = l => [...l.points].map(p => p.matrixTransform(l.getScreenCTM()));
    return {
      Title: f.querySelector('h3').innerText, Lines: lines.map(l => l.points.length),
      Wide: lines.map(l => l.getBoundingClientRect().width / axis.width),
      Outside: lines.flatMap(at).filter(p => p.x < axis.left - 1 || p.x > axis.right + 1 || p.y < top - 1 || p.y > bottom + 1).length,
      Colors: new Set(lines.map(l => getComputedStyle(l).stroke)).size,
      Bounds: [...svg.querySelectorAll('text.mark')].map(e => e.textContent), Width: frame.width, Height: frame.height,
      Ticks: svg.querySelectorAll('text:not(.mark)').length,
    };
  });
  return {
    Title: document.title, Heading: document.querySelector('h1').innerText, Verdict: document.querySelector('.verdict').innerText,
    Policies: text('#policies tbody tr td:first-child'), Goals: text('#goals tbody tr td:last-child'), Plots: plots,
    Overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    Scripts: document.scripts.length, Images: document.images.length, Background: back,
    Text: Math.min(...[...document.querySelectorAll('h1, h2, td, th, .facts span, .verdict')].map(e => contrast(getComputedStyle(e).color, back)),
      ...[...document.querySelectorAll('figcaption span, svg text')].map(e => contrast(e.matches('text') ? getComputedStyle(e).fill : getComputedStyle(e).color, card))),
    Curves: Math.min(...[...document.querySelectorAll('svg.plot polyline')].map(e => contrast(getComputedStyle(e).stroke, card))),
  };
})()`

// TestReportInABrowser opens the page and asks the browser what is on it: that it
// says what it should, that curves are drawn inside their axes, that it can be read
// in light and dark and on a narrow screen, and that it loads and runs nothing.
func TestReportInABrowser(t *testing.T) {
	t.Parallel()
	ctx, b := start(t)
	page := open(t, ctx, b, result("black-friday"))
	backgrounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{1280, 420} {
			t.Run(fmt.Sprint(scheme, width), func(t *testing.T) {
				noError(t, page.Show(ctx, width, scheme))
				var s seen
				noError(t, page.Evaluate(ctx, look, &s))
				backgrounds[s.Background] = true
				wantSeen(t, s, "black-friday")
				if s.Overflow > 0 {
					t.Errorf("the page is %.0f px wider than its window", s.Overflow)
				}
				// Of WCAG 2, level AA: 4.5 for text, 3 for graphics.
				if s.Text < 4.5 || s.Curves < 3 {
					t.Errorf("the least contrast is %.1f of text and %.1f of curves, want 4.5 and 3", s.Text, s.Curves)
				}
			})
		}
	}
	if len(backgrounds) != 2 {
		t.Errorf("backgrounds are %v, want one for light and one for dark", backgrounds)
	}
	if got := page.Complaints(); len(got) > 0 {
		t.Errorf("the console says %q", got)
	}
	if got := page.Requests(); len(got) > 0 {
		t.Errorf("the page asked for %q", got)
	}
}

func wantSeen(t *testing.T, s seen, name string) {
	t.Helper()
	if s.Heading != name || !strings.Contains(s.Title, name) || s.Verdict != "1 of 2 goals missed" {
		t.Errorf("heading %q, title %q, verdict %q", s.Heading, s.Title, s.Verdict)
	}
	if diff := cmp.Diff([]string{"none", name, "pace"}, s.Policies); diff != "" {
		t.Errorf("policies (-want +seen)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"met: 0", "MISSED: 8,000"}, s.Goals); diff != "" {
		t.Errorf("goals (-want +seen)\n%s", diff)
	}
	var titles []string
	for _, p := range s.Plots {
		titles = append(titles, p.Title)
		if p.Outside > 0 || len(p.Lines) != 3 || p.Colors != 3 {
			t.Errorf("%s: %d points outside of the axes, %d curves in %d colours, want 0, 3 and 3", p.Title, p.Outside, len(p.Lines), p.Colors)
		}
		for i, n := range p.Lines {
			if n < 10 || p.Wide[i] < 0.9 {
				t.Errorf("%s: curve %d has %d points over %.2f of the axis", p.Title, i, n, p.Wide[i])
			}
		}
		if p.Width < 600 || p.Height < 50 || p.Ticks < 6 {
			t.Errorf("%s is %.0f by %.0f px with %d numbers at its axes", p.Title, p.Width, p.Height, p.Ticks)
		}
		if diff := cmp.Diff([]string{"bound 2h00m", "with reserve 3h00m"}, p.Bounds); diff != "" {
			t.Errorf("%s: bounds (-want +seen)\n%s", p.Title, diff)
		}
	}
	want := []string{"Budget remaining: registries[hub].limiters[0]", "Pods ready", "Answers of 429 so far", "Pulls in flight"}
	if diff := cmp.Diff(want, titles); diff != "" {
		t.Errorf("pictures (-want +seen)\n%s", diff)
	}
	if s.Scripts > 0 || s.Images > 0 {
		t.Errorf("%d scripts and %d images, want none", s.Scripts, s.Images)
	}
}

// TestReportOfAHostileScenario: names are shown as they are, and nothing of them
// runs or is loaded.
func TestReportOfAHostileScenario(t *testing.T) {
	t.Parallel()
	ctx, b := start(t)
	page := open(t, ctx, b, result(harm))
	var s seen
	noError(t, page.Evaluate(ctx, look, &s))
	wantSeen(t, s, harm)
	if got := append(page.Complaints(), page.Requests()...); len(got) > 0 {
		t.Errorf("the page said or asked for %q", got)
	}
}

// TestReportOfARun is the page as the command writes it, of a scenario that is built
// in.
func TestReportOfARun(t *testing.T) {
	t.Parallel()
	ctx, b := start(t)
	file := filepath.Join(t.TempDir(), "report.html")
	var out bytes.Buffer
	env := plugin.System()
	env.Args, env.Out, env.Err = []string{"kubectl-pace", "simulate", "registry-throttles", "--html", file}, &out, &out
	if code := plugin.Main(ctx, env); code != plugin.ExitOK {
		t.Fatalf("exit %d:\n%s", code, out.String())
	}
	page, err := b.Open(ctx, (&url.URL{Scheme: "file", Path: file}).String())
	noError(t, err)
	var s seen
	noError(t, page.Evaluate(ctx, look, &s))
	if s.Heading != "registry-throttles" || !strings.HasPrefix(s.Verdict, "All ") || len(s.Policies) != 3 || len(s.Plots) != 4 {
		t.Errorf("heading %q, verdict %q, policies %q, %d pictures", s.Heading, s.Verdict, s.Policies, len(s.Plots))
	}
	for _, p := range s.Plots {
		if p.Outside > 0 || len(p.Lines) != 3 || len(p.Bounds) == 0 {
			t.Errorf("%s: %d points outside of the axes, %d curves, bounds %q", p.Title, p.Outside, len(p.Lines), p.Bounds)
		}
		for i, wide := range p.Wide {
			if wide < 0.95 {
				t.Errorf("%s: the curve of %s spans %.2f of the axis", p.Title, s.Policies[i], wide)
			}
		}
	}
	if got := append(page.Complaints(), page.Requests()...); len(got) > 0 {
		t.Errorf("the page said or asked for %q", got)
	}
}

// TestBrowserHearsOfHarm keeps the two tests above from passing because the browser
// was not listened to: a page that logs, throws and loads is heard.
func TestBrowserHearsOfHarm(t *testing.T) {
	t.Parallel()
	ctx, b := start(t)
	file := filepath.Join(t.TempDir(), "bad.html")
	noError(t, os.WriteFile(file, []byte(`<title>x</title><script>console.error("heard"); throw new Error("thrown")</script><img src="missing.png">`), 0o644))
	page, err := b.Open(ctx, (&url.URL{Scheme: "file", Path: file}).String())
	noError(t, err)
	all := strings.Join(page.Complaints(), "\n")
	if !strings.Contains(all, "heard") || !strings.Contains(all, "thrown") || !strings.Contains(strings.Join(page.Requests(), "\n"), "missing.png") {
		t.Errorf("the browser was not heard: %s, %q", all, page.Requests())
	}
}
