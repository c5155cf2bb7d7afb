package scenario

import "slices"

func (d *decoder) validateEgress(s *Spec) {
	for i, e := range s.Egress {
		path := at("spec.egress", i)
		d.between(path+".ips", e.IPs, 1, maxIPs)
		d.bandwidth(path+".bandwidth", e.Bandwidth)
		d.validateForeign(path+".foreign", e.Foreign, s)
	}
}

func (d *decoder) validateForeign(path string, f Foreign, s *Spec) {
	d.units(path+".perWindow", f.PerWindow)
	d.units(path+".per", f.Per)
	d.want(f.PerWindow == 0 || f.Per == 0, path, "wants perWindow, or per and every, not both")
	d.want((f.Per == 0) == (f.Every == 0), path, "wants per and every together: so many units in such a time")
	d.want(f.PerWindow == 0 || slices.ContainsFunc(s.Registries, firstIsWindowed), path+".perWindow",
		"is for registries whose first limiter has a window, and there is none: write per and every")
	if d.failedBelow(path) {
		return
	}
	units := 0.0
	for _, r := range s.Registries {
		if f.PerWindow > 0 && firstIsWindowed(r) && r.Limiters[0].Window > 0 {
			units += float64(f.PerWindow) * s.Horizon.Seconds() / r.Limiters[0].Window.Seconds()
		}
	}
	if f.Every > 0 {
		units = float64(f.Per) * s.Horizon.Seconds() / f.Every.Seconds()
	}
	d.want(units <= maxForeign, path, "is %.0f units until the horizon, want %d at most", units, maxForeign)
}

func firstIsWindowed(r Registry) bool { return len(r.Limiters) > 0 && r.Limiters[0].Windowed() }

func (d *decoder) validateMirrors(s *Spec, ix index) {
	for i, m := range s.Mirrors {
		path := at("spec.mirrors", i)
		d.want(len(m.For) > 0, path+".for", "is empty: a mirror is for one registry at least")
		d.knowAll(path+".for", m.For, ix.registries)
		d.knowAll(path+".warm", m.Warm, ix.images)
		for j, warm := range m.Warm {
			if k, ok := ix.images.index[warm]; ok {
				from := s.Images[k].Registry
				d.want(slices.Contains(m.For, from), at(path+".warm", j), "comes from %q, which the mirror is not for", from)
			}
		}
		d.know(path+".egress", m.Egress, ix.egress)
		d.bandwidth(path+".bandwidth", m.Bandwidth)
		d.distribution(path+".rtt", m.RTT)
	}
}

func (d *decoder) validatePools(s *Spec, ix index) {
	fleet := 0
	for i, p := range s.NodePools {
		path := at("spec.nodePools", i)
		d.inCluster(path+".cluster", p.Cluster, ix.clusters)
		d.between(path+".nodes", p.Nodes, 0, maxFleet)
		fleet += p.Nodes
		d.know(path+".egress", p.Egress, ix.egress)
		d.validateZones(path+".zones", p.Zones)
		d.bandwidth(path+".nic", p.NIC)
		d.between(path+".podsPerNode", p.PodsPerNode, 1, maxRoom)
		d.knowAll(path+".warm", p.Warm, ix.images)
		d.want(!p.Cold || len(p.Warm) == 0, path+".warm", "holds images on nodes that cold empties: want one of the two")
		agents := ix.images
		agents.hint = ": a DaemonSet is named by its image, which spec.images must define, as {name: " + firstUnknown(p.DaemonSets, ix.images) + ", registry: ...}"
		d.knowAll(path+".daemonSets", p.DaemonSets, agents)
		d.validateKubelet(path+".kubelet", p.Kubelet)
		d.validateRuntime(path+".runtime", p.Runtime)
		if a := p.Autoscaler; a != nil {
			d.validateAutoscaler(path+".autoscaler", a, p.Nodes)
			fleet += max(a.Max-p.Nodes, 0)
		}
		if fleet > maxFleet && !d.failedBelow(path) {
			d.fail(path, "makes %d nodes in all, want %d at most", fleet, maxFleet)
			fleet = 0
		}
	}
}

// firstUnknown is the first of some names that leads nowhere.
func firstUnknown(list []string, known names) string {
	for _, n := range list {
		if _, ok := known.index[n]; !ok {
			return n
		}
	}
	return ""
}

func (d *decoder) validateZones(path string, zones []string) {
	d.between(path, len(zones), 0, 100)
	if d.failed(path) {
		return
	}
	for i, z := range zones {
		d.want(len(z) <= maxName && name.MatchString(z), at(path, i), "is %q, want a word", z)
		d.want(!slices.Contains(zones[:i], z), at(path, i), "is %q, which the list has already", z)
	}
}

func (d *decoder) validateKubelet(path string, k Kubelet) {
	d.between(path+".maxParallelImagePulls", k.MaxParallelImagePulls, 0, maxRoom)
	d.want(!k.SerializeImagePulls || k.MaxParallelImagePulls <= 1, path+".maxParallelImagePulls",
		"is %d with serializeImagePulls: no kubelet starts with that, want one of the two", k.MaxParallelImagePulls)
	d.between(path+".registryPullQPS", k.RegistryPullQPS, 0, maxUnits)
	least := 0
	if k.RegistryPullQPS > 0 {
		least = 1
	}
	d.between(path+".registryBurst", k.RegistryBurst, least, maxUnits)
}

func (d *decoder) validateRuntime(path string, r Runtime) {
	oneOf(d, path+".type", r.Type, Containerd, CRIO)
	d.between(path+".attemptsOn429", r.AttemptsOn429, 1, 100)
	d.between(path+".maxConcurrentDownloads", r.MaxConcurrentDownloads, 0, maxLayers)
	d.bandwidth(path+".unpack", r.Unpack)
	d.distribution(path+".sandbox", r.Sandbox)
	d.distribution(path+".start", r.Start)
}

func (d *decoder) validateAutoscaler(path string, a *Autoscaler, nodes int) {
	oneOf(d, path+".type", a.Type, Karpenter, ClusterAutoscaler)
	d.between(path+".max", a.Max, nodes, maxFleet)
	karpenter := a.Type == Karpenter
	for _, f := range []struct {
		name string
		of   AutoscalerType
	}{{"batchIdle", Karpenter}, {"batchMax", Karpenter}, {"scanInterval", ClusterAutoscaler}} {
		d.want(a.Type == f.of || !d.given(path+"."+f.name), path+"."+f.name, "is no field of a %s", a.Type)
	}
	if d.failed(path + ".type") {
		return
	}
	d.distribution(path+".boot", a.Boot)
	if karpenter {
		d.duration(path+".batchMax", a.BatchMax, 0, maxTime)
		d.duration(path+".batchIdle", a.BatchIdle, 0, a.BatchMax)
		return
	}
	d.duration(path+".scanInterval", a.ScanInterval, 1, maxTime)
}

func (d *decoder) validateImages(s *Spec, ix index) {
	sizes := map[string]Size{}
	for i, image := range s.Images {
		path := at("spec.images", i)
		d.know(path+".registry", image.Registry, ix.registries)
		d.between(path+".layers", len(image.Layers), 0, maxLayers)
		seen := map[string]bool{}
		for j, l := range image.Layers {
			field := at(path+".layers", j)
			d.want(l.Digest != "" && len(l.Digest) <= maxName, field+".digest", "is %q, want a word", l.Digest)
			d.want(!seen[l.Digest], field+".digest", "is %q, which the image has already", l.Digest)
			d.want(l.Size <= maxLayer, field+".size", "is more than 1024Gi")
			known, shared := sizes[l.Digest]
			d.want(!shared || known == l.Size, field+".size", "is %d bytes, but layer %q of another image is %d: the same digest is the same layer", l.Size, l.Digest, known)
			seen[l.Digest] = true
			if !d.failed(field + ".size") {
				sizes[l.Digest] = l.Size
			}
		}
	}
}

// validateCaches bounds what is remembered of the caches of all nodes: some bits for
// each image and one for each layer.
func (d *decoder) validateCaches(s *Spec) {
	if d.failedBelow("spec") {
		return
	}
	fleet, layers := 0, map[string]bool{}
	for _, p := range s.NodePools {
		fleet += p.Nodes
		if p.Autoscaler != nil {
			fleet += p.Autoscaler.Max - p.Nodes
		}
	}
	for _, e := range s.Timeline {
		if e.AddNodes != nil {
			fleet += e.AddNodes.Count
		}
	}
	for _, image := range s.Images {
		for _, l := range image.Layers {
			layers[l.Digest] = true
		}
	}
	held := 4*len(s.Images) + len(layers)
	d.want(int64(fleet)*int64(held) <= maxCached, "spec.images", "are %d with %d layers, which is too much to remember for %d nodes", len(s.Images), len(layers), fleet)
}

func (d *decoder) validateWorkloads(s *Spec, ix index) {
	running := map[string]int{} // by cluster
	for i, w := range s.Workloads {
		path := at("spec.workloads", i)
		oneOf(d, path+".kind", w.Kind, Deployment, Job, DaemonSet, Rollout)
		oneOf(d, path+".imagePullPolicy", w.ImagePullPolicy, IfNotPresent, Always)
		d.want((w.Image == "") != (len(w.Images) == 0), path+".image", "is one image, images several: want one of the two")
		if w.Image != "" {
			d.know(path+".image", w.Image, ix.images)
		}
		d.knowAll(path+".images", w.Images, ix.images)
		d.between(path+".replicas", w.Replicas, 0, maxPods)
		d.want(w.Kind != DaemonSet || !d.given(path+".replicas"), path+".replicas", "is no field of a DaemonSet: its nodes count")
		d.want(name.MatchString(w.Namespace) && len(w.Namespace) <= maxName, path+".namespace", "is %q, want a word", w.Namespace)
		d.distribution(path+".startup", w.Startup)
		d.validateStrategy(path+".strategy", w)
		d.validateRollout(path, w)
		d.inCluster(path+".cluster", w.Cluster, ix.clusters)
		d.knowAll(path+".nodePools", w.NodePools, ix.pools)
		d.ownPools(path+".nodePools", s, w, ix)
		if w.Kind != DaemonSet && !w.Cold && !d.failedBelow(path) {
			running[w.Cluster] += w.Replicas
			room := roomOf(s, w.Cluster, nil)
			d.want(running[w.Cluster] <= room, path+".replicas", "makes %d pods that run at the start, but the nodes have room for %d: "+
				"add nodes, or say cold: true for pods that are pending", running[w.Cluster], room)
			own := roomOf(s, w.Cluster, w.NodePools)
			d.want(w.Replicas <= own, path+".replicas", "is %d, but the workload's node pools have room for %d", w.Replicas, own)
		}
	}
}

func (d *decoder) validateStrategy(path string, w Workload) {
	if w.Kind != Deployment && w.Kind != Rollout {
		d.want(!d.given(path), path, "is no field of a %s", w.Kind)
		return
	}
	unavailable := w.Strategy.MaxUnavailable
	d.want(!unavailable.Percent || unavailable.Number <= 100, path+".maxUnavailable", "is %d%%, want 100%% at most", unavailable.Number)
	d.want(w.Strategy.MaxSurge.Number > 0 || w.Strategy.MaxUnavailable.Number > 0, path, "has maxSurge and maxUnavailable 0: no rollout would ever move")
}

// ownPools refuses node pools of another cluster.
func (d *decoder) ownPools(path string, s *Spec, w Workload, ix index) {
	for i, n := range w.NodePools {
		if p, ok := ix.pools.index[n]; ok && len(s.Clusters) > 0 {
			of := s.NodePools[p].Cluster
			d.want(of == w.Cluster, at(path, i), "is %q of cluster %q, but the workload is of %q", n, of, w.Cluster)
		}
	}
}

// roomOf is how many pods the nodes of some pools of a cluster take, of all without
// any.
func roomOf(s *Spec, cluster string, pools []string) int {
	room := 0
	for _, p := range s.NodePools {
		if p.Cluster == cluster && (len(pools) == 0 || slices.Contains(pools, p.Name)) {
			room += p.Nodes * p.PodsPerNode
		}
	}
	return room
}
