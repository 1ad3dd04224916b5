//go:build !race

package child

const limitsData = true
