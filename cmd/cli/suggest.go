package cli

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
)

// didYouMean is a hint that names the candidate nearest to what was typed, ""
// when none is near. prefix is written before the name ("--" for a flag).
func didYouMean(typed string, candidates []string, prefix string) string {
	slices.Sort(candidates)
	near := strictyaml.Nearest(typed, candidates)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s%s?", prefix, near)
}

func keys(set map[string]bool) []string { return slices.Collect(maps.Keys(set)) }
