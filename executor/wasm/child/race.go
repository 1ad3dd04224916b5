//go:build race

package child

// The race detector's own memory is far beyond any limit.
const limitsData = false
