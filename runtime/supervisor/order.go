package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/runtime"
)

// order is what the annotations say about a set of pods, as full names. Edges that would close a
// circle are left out and reported, so that nothing waits for ever.
type order struct {
	startAfter map[string][]string // pod -> those that must have started
	stopAfter  map[string][]string // pod -> those that must be gone before it is stopped
	rank       map[string]int      // the longest way back to a pod that waits for none
	warnings   map[string][]string // pod -> what is wrong with its annotations
}

// newOrder reads the annotations. A name without a namespace is of the pod's own; "namespace/name" is of another one.
func newOrder(pods map[string]*runtime.Pod) order {
	o := order{startAfter: map[string][]string{}, stopAfter: map[string][]string{}, rank: map[string]int{}, warnings: map[string][]string{}}
	byName := map[string]string{}
	for full, pod := range pods {
		byName[pod.Namespace+"/"+shortName(pod)] = full
	}
	for _, full := range slices.Sorted(maps.Keys(pods)) {
		o.add(full, pods[full], byName)
	}
	for full := range pods {
		o.ranked(full)
	}
	return o
}

func (o *order) add(full string, pod *runtime.Pod, byName map[string]string) {
	names := func(annotation string) []string {
		var found []string
		for name := range strings.SplitSeq(pod.Annotations[annotation], ",") {
			name = strings.TrimSpace(name)
			if name == "" {
				continue
			}
			key := name
			if !strings.Contains(key, "/") {
				key = pod.Namespace + "/" + name
			}
			other, ok := byName[key]
			if !ok || other == full {
				o.warn(full, fmt.Sprintf("%s names %q, and there is no such pod: it is not waited for", annotation, name))
				continue
			}
			found = append(found, other)
		}
		return found
	}
	for _, first := range names(runtime.StartAfterAnnotation) {
		if reaches(o.startAfter, first, full) {
			o.warn(full, fmt.Sprintf("%s: waiting for %s would close a circle: it is not waited for", runtime.StartAfterAnnotation, first))
			continue
		}
		o.startAfter[full] = append(o.startAfter[full], first)
		o.stopsBefore(full, first, runtime.StartAfterAnnotation)
	}
	for _, later := range names(runtime.StopBeforeAnnotation) {
		o.stopsBefore(full, later, runtime.StopBeforeAnnotation)
	}
}

// stopsBefore adds that first must be gone before later is stopped.
func (o *order) stopsBefore(first, later, annotation string) {
	if slices.Contains(o.stopAfter[later], first) {
		return
	}
	if reaches(o.stopAfter, first, later) {
		o.warn(first, fmt.Sprintf("%s: stopping before %s would close a circle, and is left out", annotation, later))
		return
	}
	o.stopAfter[later] = append(o.stopAfter[later], first)
}

func (o *order) warn(full, text string) { o.warnings[full] = append(o.warnings[full], text) }

// reaches says whether edges lead from one pod to another.
func reaches(edges map[string][]string, from, to string) bool {
	seen := map[string]bool{}
	var walk func(at string) bool
	walk = func(at string) bool {
		if at == to {
			return true
		}
		if seen[at] {
			return false
		}
		seen[at] = true
		return slices.ContainsFunc(edges[at], walk)
	}
	return walk(from)
}

func (o *order) ranked(full string) int {
	if r, ok := o.rank[full]; ok {
		return r
	}
	r := 0
	for _, first := range o.startAfter[full] { // no circles: add saw to it
		r = max(r, o.ranked(first)+1)
	}
	o.rank[full] = r
	return r
}
