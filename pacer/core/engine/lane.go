package engine

// LaneOf tells what a pod is for that is created as one of live pods of its revision,
// itself included. goingBack says that its revision is current again after another,
// and that the rollout to it is not complete: the pod is of a rollback. Where no more
// pods are alive than have served at once it replaces one that was lost: a repair.
func LaneOf(goingBack bool, live, served int) Lane {
	switch {
	case goingBack:
		return LaneRollback
	case live <= served:
		return LaneRepair
	}
	return LaneNormal
}
