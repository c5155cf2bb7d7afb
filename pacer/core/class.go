package core

import "fmt"

// Class orders demand. A smaller class goes first and leaves less in reserve.
type Class int

// The classes, most urgent first. ClassRollout is the default of a pod for which
// no administrator said otherwise.
const (
	ClassNodeCritical Class = iota
	ClassRollback
	ClassServing
	ClassRollout
	ClassBatch
	ClassCI
)

// classNames is indexed by Class.
var classNames = [...]string{"node-critical", "rollback", "serving", "rollout", "batch", "ci"}

// Classes lists every class, most urgent first.
func Classes() []Class {
	all := make([]Class, len(classNames))
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

// String returns the name used in policies, metrics and output.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class(%d)", int(c))
	}
	return classNames[c]
}

// ParseClass reads a name as String prints it; "pre-pull" is another name of
// "batch".
func ParseClass(s string) (Class, error) {
	if s == "pre-pull" {
		return ClassBatch, nil
	}
	for i, name := range classNames {
		if name == s {
			return Class(i), nil
		}
	}
	return 0, fmt.Errorf("unknown class %q: want one of %v or pre-pull", s, classNames)
}

// MarshalText and UnmarshalText carry a class by name in traces and JSON.
func (c Class) MarshalText() ([]byte, error) {
	if c < 0 || int(c) >= len(classNames) {
		return nil, fmt.Errorf("unknown class %d", int(c))
	}
	return []byte(classNames[c]), nil
}

// UnmarshalText is the inverse of MarshalText.
func (c *Class) UnmarshalText(text []byte) error {
	parsed, err := ParseClass(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}
