package diagnose

// nearest returns the name that is most like the wrong one, "" if none is at
// most a third of its letters away.
func nearest(wrong string, names []string) string {
	best, limit := "", len(wrong)/3+1
	for _, name := range names {
		if d := distance(wrong, name, limit); d < limit {
			best, limit = name, d
		}
	}
	return best
}

// distance is the Levenshtein distance, or limit if it is not smaller.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
