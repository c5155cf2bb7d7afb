package feedback

import "time"

// DisguiseWindow is how long after an answer of 429 refusals and missing images of the
// same registry may be throttles in disguise. It is the window in which failures are
// counted.
const DisguiseWindow = 2 * time.Minute

// maxHosts bounds the hosts that are remembered.
const maxHosts = 1024

// Recent remembers which registries throttled a short while ago. Some say so with 401,
// 403 or 404: a mirror that is throttled itself knows no image, a login service that is
// throttled refuses, and registries shut out an address that asks too much. The text
// alone cannot tell, but throttles come in company.
//
// The zero value is ready to use. It is not safe for concurrent use.
type Recent struct {
	at map[string]time.Time
}

// See takes a failure in and returns it as it looks in the light of what the registry
// did lately. host is that of the image. Time may run backwards; nothing is forgotten
// early for it.
func (r *Recent) See(now time.Time, host string, f Failure) Failure {
	host = BareHost(host)
	if f.Class == Throttled {
		r.note(now, host)
		if f.Also != "" {
			return f
		}
	}
	f.Suspect = r.disguised(now, host, f)
	return f
}

// Throttled notes an answer of 429 that no pull met, as of a probe.
func (r *Recent) Throttled(now time.Time, host string) { r.note(now, BareHost(host)) }

func (r *Recent) note(now time.Time, host string) {
	if r.at == nil {
		r.at = map[string]time.Time{}
	}
	if now.After(r.at[host]) {
		r.at[host] = now
	}
	if len(r.at) <= maxHosts {
		return
	}
	for h, at := range r.at {
		if now.Sub(at) > DisguiseWindow {
			delete(r.at, h)
		}
	}
	if len(r.at) > maxHosts {
		clear(r.at) // more registries throttle than there are
	}
}

// disguised reports whether an answer may be a throttle that does not say so.
func (r *Recent) disguised(now time.Time, host string, f Failure) bool {
	switch f.Class {
	case Auth, NotFound, Mirror:
		at, known := r.at[host]
		return known && now.Sub(at) <= DisguiseWindow
	}
	return false
}
