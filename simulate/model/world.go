package model

import "github.com/pullpace/pace/simulate/kernel"

// World is a run under way.
type World struct {
	now       kernel.Time
	addresses int32
	nodes     []node
	pools     []pool
	pods      []pod
	workloads []workload
}

type node struct {
	pool    PoolID
	zone    int32
	address AddressID
	images  bits
}

type pool struct{ egress EgressID }

type pod struct {
	created  kernel.Time
	workload WorkloadID
	revision int32
	image    ImageID
	node     NodeID
	phase    PodPhase
}

type workload struct {
	revision          int32
	image, back       ImageID
	replicas          int32
	current, existing int32
}

type bits []uint64

func (b bits) has(i int) bool { return b[i>>6]>>(i&63)&1 == 1 }
