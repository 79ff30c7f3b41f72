package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// didYouMean is a hint that names the candidate nearest to what was typed, ""
// when none is near. prefix is written before the name ("--" for a flag).
func didYouMean(typed string, candidates []string, prefix string) string {
	slices.Sort(candidates)
	best, bestDistance := "", max(2, len(typed)/3)+1
	for _, c := range candidates {
		d := distance(strings.ToLower(typed), c)
		if strings.HasPrefix(c, typed) && len(typed) > 2 {
			d = min(d, 1)
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s%s?", prefix, best)
}

// distance is the Levenshtein distance of two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func keys(set map[string]bool) []string { return slices.Collect(maps.Keys(set)) }
