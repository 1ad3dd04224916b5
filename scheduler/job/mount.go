package job

// Labels by which nodes say whose jobs they run and which folders they offer.
// They are for owners to choose by; the executor looks at what it was started
// with.
const (
	// MountPrefix begins the label of a folder that a node offers to jobs:
	// mount/NAME=yes.
	MountPrefix = "mount/"
	// AcceptsLabel is on nodes that do not run everybody's jobs, with the value
	// AcceptsListed, and for each peer whose jobs they do run there is a label
	// AcceptsPrefix + its ID. Nodes without it run the jobs of the whole swarm.
	// Every node runs its own.
	AcceptsLabel  = "accepts"
	AcceptsPrefix = "accepts/"
	AcceptsListed = "listed"
)
