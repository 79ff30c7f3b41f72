package conformance

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Supervisors come and go: the container, its restart count and its readiness stay what they are, and its log has no hole.
func adoption(f *fixture) {
	f.supervise()
	pod := f.pod("a", "say main begin; i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done")
	pod.Spec.Containers[0].ReadinessProbe = f.execProbe("[ ! -e late ]")
	f.put(pod)
	f.said("main begin", 1)
	f.ready("a")
	f.kill("a", "main")
	f.said("main begin", 2)
	before := f.ready("a")
	f.touch("late") // from now on only what was recorded can tell that it was ready
	for range 5 {
		f.leave()
		f.supervise()
		f.until("the pod is adopted", func() bool { p, ok := f.get("a"); return ok && p.PID != 0 })
		if after, _ := f.get("a"); after.Containers[0].ID != before.Containers[0].ID || after.Restarts != 1 || !after.Ready || after.UID != before.UID {
			f.Fatalf("it was %+v, is %+v", before, after)
		}
	}
	f.order("main begin", "main begin")
	f.until("the log goes on", func() bool { return len(f.counted(before.Containers[0].LogPath)) > 100 })
	for i, n := range f.counted(before.Containers[0].LogPath) {
		if n != i+1 {
			f.Fatalf("line %d of the log is %d", i+1, n)
		}
	}

	// The manifest changes while nobody watches: the next supervisor stops what runs, and starts what is wanted.
	f.leave()
	f.put(f.pod("a", polite("new")))
	f.supervise()
	f.said("new begin", 1)
	if after := f.ready("a"); after.Restarts != 0 || after.UID == before.UID {
		f.Errorf("it was %+v, is %+v", before, after)
	}
}

// counted is the numbers in a log, of which the last line may still be being written; CRI puts the time before each.
func (f *fixture) counted(log string) []int {
	f.Helper()
	data, err := os.ReadFile(log)
	f.must(err)
	lines := strings.Split(string(data), "\n")
	var numbers []int
	for _, line := range lines[:len(lines)-1] {
		n, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
		if err != nil {
			f.Fatal(fmt.Errorf("a log with %q", line))
		}
		numbers = append(numbers, n)
	}
	return numbers
}
