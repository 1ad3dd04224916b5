package job

import "strings"

// Nearest is the name that a person who wrote got most likely meant, or nothing
// if none is near: at most one slip for every three letters, case aside, or a
// name that only differs by a missing end.
func Nearest(got string, names []string) string {
	most := max(1, len(got)/3)
	if len(got) < 2 {
		most = 0 // one letter is near to too much
	}
	best, found := most+1, ""
	for _, name := range names {
		d := slips(strings.ToLower(got), strings.ToLower(name))
		if len(got) >= 2 && d > 1 && strings.HasPrefix(strings.ToLower(name), strings.ToLower(got)) {
			d = 1
		}
		if d < best {
			best, found = d, name
		}
	}
	return found
}

// slips is how many letters must be put in, left out, changed, or swapped with
// their neighbour to turn a into b.
func slips(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return len(x) + len(y)
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := rows[i-1][j-1]
			if x[i-1] != y[j-1] {
				change++
			}
			rows[i][j] = min(change, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
