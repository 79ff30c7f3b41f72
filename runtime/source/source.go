// Package source finds static pods: in a directory, in one file, behind a URL.
//
//	file, body --decode--> v1.Pod --default, name, UID--> --validate, refuse references--> runtime.Pod
//	                                                                                          |
//	directory, single file, URL --Run--> Update{all pods, all problems} --> supervisor <------+
//
// A source always sends its full set, never a difference: what was missed, doubled or reordered on
// the way (inotify queues overflow, editors rename in circles) cannot make it wrong for long.
// Decoding follows the kubelet (pkg/kubelet/config), which docs/reference/static-pod-statements.md writes down as
// statements 1 to 43; the tests are named by them.
package source

import (
	"context"

	"github.com/kubecrank/kubecrank/runtime"
)

// Update is everything that a source knows, at one moment.
type Update struct {
	Pods     []*runtime.Pod    // in the order of their origins, one per full name
	Problems []runtime.Problem // files that are refused or ignored, or why the source cannot be read
	// Incomplete says that the set could not be learned: the pods are those of the last time it
	// could, and what else runs must not be stopped because it is missing here.
	Incomplete bool
}

// Source sends an Update when it starts, and one whenever something has changed.
type Source interface {
	// Run blocks until ctx ends. It reports what goes wrong as problems in an Update, and returns
	// an error only when it cannot go on at all.
	Run(ctx context.Context, updates chan<- Update) error
	// String is the path or the URL, without secrets.
	String() string
}

// The values of runtime.Pod.Source and of the annotation kubernetes.io/config.source.
const (
	FromFile = "file"
	FromHTTP = "http"
)

func send(ctx context.Context, updates chan<- Update, u Update) error {
	select {
	case updates <- u:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
