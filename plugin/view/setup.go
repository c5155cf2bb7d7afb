package view

import (
	"fmt"
	"io"
	"strings"
)

// Install is the answer of `install`.
type Install struct {
	Server string `json:"server"`
	Image  string `json:"image"`
	// ImageApart says that no PullBudget paces where the image comes from.
	ImageApart bool `json:"imageApart,omitempty"`
	// Mode is that of the default policy.
	Mode    string    `json:"mode"`
	DryRun  bool      `json:"dryRun,omitempty"`
	Objects []Applied `json:"objects"`
	// Controller and Failsafe count ready replicas; zero on a dry run.
	Controller Replicas `json:"controller,omitzero"`
	Failsafe   Replicas `json:"failsafe,omitzero"`
	// Apart is how far apart the controller's replicas are.
	Apart Apart `json:"apart,omitzero"`
	// Proof is the dry-run pod that came back gated.
	Proof      Proof `json:"proof,omitzero"`
	Namespaces int   `json:"namespaces"`
	// Found is what images run, nil where nobody looked.
	Found *Found   `json:"found,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Found is which registries the images that run come from, and the PullBudgets made
// for those that had none.
type Found struct {
	Pods       int           `json:"pods"`
	Registries int           `json:"registries"`
	Budgets    []FoundBudget `json:"budgets"`
}

// FoundBudget is a PullBudget that was made, or would be.
type FoundBudget struct {
	Name     string `json:"name"`
	Registry string `json:"registry"`
	Identity string `json:"identity,omitempty"`
	// Pods is how many run that pull from it.
	Pods int `json:"pods"`
	// Change is created or kept; "would create" where it is only shown.
	Change string `json:"change"`
	// Manifest is the object where it is only shown.
	Manifest string `json:"manifest,omitempty"`
}

// Apart counts the nodes, and the zones where nodes have any, that replicas are on.
type Apart struct {
	Nodes int `json:"nodes"`
	Zones int `json:"zones"`
}

func (a Apart) String() string {
	switch {
	case a.Nodes == 0:
		return ""
	case a.Zones == 0:
		return " on " + noun(a.Nodes, "node")
	}
	return " on " + noun(a.Nodes, "node") + " in " + noun(a.Zones, "zone")
}

// Proof is how a dry-run pod came back gated.
type Proof struct {
	Milliseconds   int64  `json:"milliseconds"`
	TimeoutSeconds int32  `json:"timeoutSeconds"`
	FailurePolicy  string `json:"failurePolicy"`
	Port           int    `json:"port"`
}

// Applied is one object of an installation.
type Applied struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Change is created, configured, unchanged or deleted; on a dry run
	// "would be ...".
	Change string `json:"change"`
}

func (a Applied) object() string {
	name := strings.ToLower(a.Kind) + "/" + a.Name
	if a.Namespace != "" {
		name += " in " + a.Namespace
	}
	return name
}

// Names implements `-o name`.
func (i Install) Names() []string { return objectNames(i.Objects) }

func objectNames(objects []Applied) []string {
	names := make([]string, 0, len(objects))
	for _, object := range objects {
		names = append(names, strings.ToLower(object.Kind)+"/"+object.Name)
	}
	return names
}

// InstallPage shows what an installation wrote.
func InstallPage(w io.Writer, i Install, st Style) error {
	p := page{style: st}
	verdict := painted{"Installed.", good}
	if i.DryRun {
		verdict = painted{"Dry run: nothing was changed.", warn}
	}
	p.line("%s", verdict)
	p.field("cluster", "%s", i.Server)
	apart := ""
	if i.ImageApart {
		apart = ", not on a registry that is paced"
	}
	p.field("image", "%s%s", i.Image, apart)
	for _, object := range i.Objects {
		p.field(object.Change, "%s", object.object())
	}
	if i.Controller.Wanted > 0 {
		p.field("ready", "controller %d/%d%s", i.Controller.Ready, i.Controller.Wanted, i.Apart)
	}
	if i.Failsafe.Wanted > 0 {
		p.field("ready", "failsafe %d/%d", i.Failsafe.Ready, i.Failsafe.Wanted)
	}
	if i.Proof.Port > 0 {
		p.field("proof", "dry-run pod through the API server: gate put on in %d ms (timeout %d s, failurePolicy %s, port %d)",
			i.Proof.Milliseconds, i.Proof.TimeoutSeconds, i.Proof.FailurePolicy, i.Proof.Port)
	}
	p.found(i.Found)
	p.field("mode", "%s, %s opted in. %s", i.Mode, noun(i.Namespaces, "namespace"), modeMeaning(i.Mode, i.Namespaces))
	for _, note := range i.Notes {
		p.field("note", "%s", painted{note, warn})
	}
	p.installNext(i)
	p.field("undo", "%s", st.command("uninstall"))
	p.manifests(i.Found)
	return p.flush(w)
}

// found tells what runs, and what was made of it.
func (p *page) found(f *Found) {
	if f == nil {
		return
	}
	made, would := 0, 0
	for _, b := range f.Budgets {
		switch {
		case b.Change == "created":
			made++
		case b.Manifest != "":
			would++
		}
	}
	registries := noun(f.Registries, "registry")
	if f.Registries != 1 {
		registries = fmt.Sprintf("%d registries", f.Registries)
	}
	verb, n := "wrote", made
	if would > 0 {
		verb, n = "would write", would
	}
	p.field("found", "%s in %s: %s %s (%s)", registries, noun(f.Pods, "pod"), verb, noun(n, "PullBudget"), p.style.command("budget"))
	for _, b := range f.Budgets {
		p.field(b.Change, "pullbudget/%s (%s, %s)", b.Name, b.Registry, noun(b.Pods, "pod"))
	}
}

// installNext names what is to be done after an installation.
func (p *page) installNext(i Install) {
	label := "kubectl label namespace NAME pullpace.dev/pace=enabled"
	p.field("monitoring", "kubectl apply -k https://github.com/pullpace/pace//manifests/monitoring (alerts, dashboard; needs the Prometheus operator)")
	switch {
	case i.Found == nil:
		p.next("%s", "write a PullBudget for each registry to pace; "+label)
	case i.Mode == "Shadow":
		p.next("%s", label+"; after a day "+p.style.command("status", "--shadow"))
	default:
		p.next("%s", label)
	}
}

// manifests prints the PullBudgets that were only shown.
func (p *page) manifests(f *Found) {
	if f == nil {
		return
	}
	for _, b := range f.Budgets {
		if b.Manifest == "" {
			continue
		}
		p.line("---")
		for _, text := range strings.Split(strings.TrimSpace(b.Manifest), "\n") {
			p.line("%s", text)
		}
	}
}

func modeMeaning(mode string, namespaces int) string {
	switch {
	case namespaces == 0:
		return "Nothing is held."
	case mode == "Enforce":
		return "Their pods are held when the budget is short."
	}
	return "Nothing is held; what would have been is reported."
}

// RBACPage lists what an installation is allowed to do and why.
func RBACPage(w io.Writer, all Permissions, st Style) error {
	p := page{style: st}
	t := table{heads: []string{"WHO", "WHERE", "WHAT", "MAY", "ONLY WITH"}}
	for _, r := range all.Rules {
		t.row(r.Who, r.Where, r.Resource, strings.Join(r.Verbs, " "), dash(r.With))
	}
	p.table(t)
	return p.flush(w)
}

// Permission is one rule of RBAC in the installation.
type Permission struct {
	Who      string   `json:"who"`
	Where    string   `json:"where"`
	Resource string   `json:"resource"`
	Verbs    []string `json:"verbs"`
	// With is the flag without which it is not asked for; empty: always.
	With string `json:"with,omitempty"`
}

// Permissions is the answer of `install --explain-rbac`.
type Permissions struct {
	Rules []Permission `json:"rules"`
}

// Names implements `-o name`.
func (p Permissions) Names() []string {
	var names []string
	for _, r := range p.Rules {
		names = append(names, r.Who+"/"+r.Resource)
	}
	return names
}

// Add adds what more has beyond these, which only a flag asks for.
func (p *Permissions) Add(more Permissions, flag string) {
	have := map[string]bool{}
	for _, r := range p.Rules {
		have[r.Who] = true
	}
	for _, r := range more.Rules {
		if !have[r.Who] {
			r.With = flag
			p.Rules = append(p.Rules, r)
		}
	}
}

// Uninstall is the answer of `uninstall`.
type Uninstall struct {
	DryRun bool `json:"dryRun,omitempty"`
	// Released counts pods let go, Restored workloads whose fields were put
	// back, Untainted nodes freed, Stripped objects cleaned of our notes.
	Released  int `json:"released"`
	Restored  int `json:"restored"`
	Untainted int `json:"untainted"`
	Stripped  int `json:"stripped"`
	// Resumed counts NodePools whose nodes may be replaced again.
	Resumed int       `json:"resumed,omitempty"`
	Deleted []Applied `json:"deleted"`
	Blockers
	Left     Left     `json:"leftBehind"`
	Searched Searched `json:"searched"`
	Kept     Kept     `json:"kept"`
	Notes    []string `json:"notes,omitempty"`
}

// Blockers are what keeps Pace from being taken out.
type Blockers struct {
	Blocked []string `json:"blocked,omitempty"`
	// Edits are what to do about it, in this order; Later what is left to do afterwards.
	Edits []string `json:"edits,omitempty"`
	Later []string `json:"later,omitempty"`
	// FailsafeFrees says that it is the taint alone, which a failsafe that stays takes off.
	FailsafeFrees bool `json:"failsafeFrees,omitempty"`
	// Unknown are things that might keep it and could not be looked at.
	Unknown []string `json:"unknown,omitempty"`
}

// Left is what a search found after the removal.
type Left struct {
	Gates       int `json:"gates"`
	Taints      int `json:"taints"`
	Pauses      int `json:"pauses"`
	Annotations int `json:"annotations"`
	Webhooks    int `json:"webhooks"`
	Roles       int `json:"roles"`
}

// Total is how much is left in all.
func (l Left) Total() int {
	return l.Gates + l.Taints + l.Pauses + l.Annotations + l.Webhooks + l.Roles
}

// Searched is how much was looked at.
type Searched struct {
	Nodes     int `json:"nodes"`
	Pods      int `json:"pods"`
	Workloads int `json:"workloads"`
}

// Kept is what stays on purpose.
type Kept struct {
	CRDs     int `json:"crds"`
	Budgets  int `json:"budgets"`
	Policies int `json:"policies"`
	// Failsafe is the namespace of the one that goes on to free nodes that come with the taint.
	Failsafe string `json:"failsafe,omitempty"`
}

// Names implements `-o name`.
func (u Uninstall) Names() []string { return objectNames(u.Deleted) }

// UninstallPage shows what was taken away and what is left.
func UninstallPage(w io.Writer, u Uninstall, st Style) error {
	p := page{style: st}
	if len(u.Blocked) > 0 {
		p.blocked(u.Blockers)
		return p.flush(w)
	}
	would := ""
	if u.DryRun {
		p.line("%s", painted{"Dry run: nothing was changed.", warn})
		would = "would be "
	}
	p.field("released", "%s %slet go", noun(u.Released, "pod"), would)
	p.field("restored", "%s %sput back as they were", noun(u.Restored, "workload"), would)
	p.field("untainted", "%s %sfreed", noun(u.Untainted, "node"), would)
	p.field("stripped", "%s %scleaned of annotations", noun(u.Stripped, "object"), would)
	if u.Resumed > 0 {
		p.field("resumed", "%s of Karpenter: nodes may be replaced again", noun(u.Resumed, "NodePool"))
	}
	for _, object := range u.Deleted {
		p.field(object.Change, "%s", object.object())
	}
	for _, note := range u.Notes {
		p.field("note", "%s", painted{note, warn})
	}
	for _, text := range u.Unknown {
		p.field("unknown", "%s", painted{text, warn})
	}
	if !u.DryRun {
		p.field("left behind", "%s", u.left())
	}
	p.kept(u.Kept)
	return p.flush(w)
}

// blocked says what keeps Pace, and what to do about it in which order.
func (p *page) blocked(b Blockers) {
	for _, why := range b.Blocked {
		p.field("BLOCKED", "%s", painted{why, bad})
	}
	p.line("Nothing was changed. In this order (where a repository owns them, edit them there):")
	for i, edit := range append(b.Edits[:len(b.Edits):len(b.Edits)], p.style.command("uninstall")) {
		p.field(fmt.Sprint(i+1), "%s", edit)
	}
	for _, text := range b.Later {
		p.field("later", "%s", text)
	}
	if b.FailsafeFrees {
		p.field("or", "%s: the failsafe stays and frees new nodes that come with the taint", p.style.command("uninstall --keep-failsafe"))
	}
	for _, text := range b.Unknown {
		p.field("unknown", "%s", painted{text, warn})
	}
}

func (u Uninstall) left() painted {
	l, s := u.Left, u.Searched
	text := fmt.Sprintf("%d gates, %d taints, %d pauses, %d annotations, %d webhooks, %d roles   (searched %d nodes, %d pods, %d workloads)",
		l.Gates, l.Taints, l.Pauses, l.Annotations, l.Webhooks, l.Roles, s.Nodes, s.Pods, s.Workloads)
	if l.Total() > 0 {
		return painted{text, bad}
	}
	return painted{text, good}
}

func (p *page) kept(k Kept) {
	if k.Failsafe != "" {
		p.field("kept", "the failsafe, in namespace %s: it frees new nodes that come with the taint; uninstall again when none does", k.Failsafe)
	}
	if k.CRDs == 0 {
		return
	}
	p.field("kept", "%s, %s, %s (--crds removes them)", noun(k.CRDs, "CRD"), noun(k.Budgets, "PullBudget"), policies(k.Policies))
}

func policies(n int) string {
	if n == 1 {
		return "1 PacePolicy"
	}
	return fmt.Sprintf("%d PacePolicies", n)
}
