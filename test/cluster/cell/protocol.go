package cell

// Process is what Start and Run are asked to execute.
type Process struct {
	// Args is the command line; Args[0] is looked up in the cell's PATH unless
	// it holds a slash.
	Args []string
	// Env is the whole environment, as KEY=value; empty inherits the cell's.
	Env []string
	// Log is the file that receives both output streams, appended to. Empty
	// discards them. Run ignores it.
	Log string
	// Cell makes the process PID 1 of new PID, mount and network namespaces.
	Cell bool
}

// Signal says which process gets which signal.
type Signal struct {
	// PID is the number of a process that Start returned.
	PID int
	// Number is the signal.
	Number int
}

// Mount is one mount inside the cell, done in the order given.
type Mount struct {
	// Type is a file system ("tmpfs"), or empty for a bind mount of Source.
	Type string
	// Source is the file or folder to bind.
	Source string
	// Target is the mount point. A symbolic link is followed, and what it leads
	// to is made as an empty file where it is missing.
	Target string
}

// Result is the end of a command that Run executed.
type Result struct {
	// Output holds both streams.
	Output []byte
	// Status is the exit status, or 128 and the signal number.
	Status int
}

// None is the empty answer of requests that only succeed or fail.
type None struct{}
