//go:build race

package p2p

const many = 8
