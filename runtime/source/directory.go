package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/kubecrank/kubecrank/runtime"
)

// DefaultPeriod is the kubelet's fileCheckFrequency and httpCheckFrequency.
const DefaultPeriod = 20 * time.Second

// Directory is a static pod directory, or a single manifest.
//
//	inotify event, 20 s, a file that has to settle
//	          |
//	          v
//	       scan: list, stat, read what changed --> entries --resolve duplicates--> Update, if it differs from the last one
//
// Events only say when to look; what is done follows from what is there. A file is read when nobody
// writes it (see settled). One that became malformed keeps its last good pod; one that vanished keeps
// its pod for removeDelay, because editors save by moving files around; and what only an editor's
// temporary file would be blamed for is told when the file has stayed for tellDelay.
type Directory struct {
	Path     string        // absolute; a directory or a regular file, or a link to one; it may come later
	NodeName string        // the suffix of pod names
	Period   time.Duration // between full listings that no event asked for; 0 means DefaultPeriod

	entries map[string]*entry // by path
	chosen  map[string]string // full name -> the path whose pod is used
	first   time.Time         // when the first scan was
	sent    *Update           // what the supervisor knows
}

// removeDelay is how long a file must be gone before its pod is. Editors that save by renaming leave
// a gap of well under a millisecond; a removal shall still be acted on within 100 ms.
const removeDelay = 50 * time.Millisecond

// tellDelay is how long a file must be there before it is told that it is ignored, or, if its name is one that
// sed -i gives to the file it is writing, before it is read.
const tellDelay = 2 * time.Second

// String is the path.
func (d *Directory) String() string { return filepath.Clean(d.Path) }

// Run implements Source.
func (d *Directory) Run(ctx context.Context, updates chan<- Update) error {
	d.Path = filepath.Clean(d.Path)
	d.entries, d.chosen = map[string]*entry{}, map[string]string{}
	d.sent, d.first = nil, time.Now()
	period := d.Period
	if period == 0 {
		period = DefaultPeriod
	}
	w := &watch{}
	defer w.close()
	for {
		// The watch comes before the listing, so that no change falls between the two.
		watchErr := w.ensure(d.Path)
		wait := period
		if watchErr != nil {
			wait = min(wait, time.Second)
		}
		u, again := d.scan(time.Now())
		if watchErr != nil {
			u.Problems = append(u.Problems, runtime.Problem{Source: d.Path, Warning: true,
				Message: fmt.Sprintf("changes are only noticed once a second: %v", watchErr)})
		}
		if again > 0 {
			wait = min(wait, again)
		}
		if !d.unsettledAtStart(time.Now()) && !sameUpdate(d.sent, &u) {
			if err := send(ctx, updates, u); err != nil {
				return nil //nolint:nilerr // the end of ctx is how a source is told to stop
			}
			d.sent = &u
		}
		if !w.wait(ctx, wait) {
			return nil
		}
	}
}

// unsettledAtStart holds the first Update back while a file is being written: a set without its pod
// would have the supervisor stop it.
func (d *Directory) unsettledAtStart(now time.Time) bool {
	if d.sent != nil || now.Sub(d.first) > settleLimit+time.Second {
		return false
	}
	for _, e := range d.entries {
		if !e.unsettled.IsZero() && e.pod == nil {
			return true
		}
	}
	return false
}

// scan brings the entries up to date and says after what time it must look again, 0 for never.
func (d *Directory) scan(now time.Time) (Update, time.Duration) {
	paths, single, err := d.list()
	if err != nil {
		u, _ := d.update(now)
		u.Incomplete = true
		u.Problems = append(u.Problems, runtime.Problem{Source: d.Path, Message: err.Error()})
		return u, time.Second
	}
	var again time.Duration
	sooner := func(t time.Duration) {
		if t > 0 && (again == 0 || t < again) {
			again = t
		}
	}
	present := sets.New(paths...)
	for _, path := range paths {
		e := d.entries[path]
		if e == nil {
			e = &entry{path: path}
			if d.sent != nil { // what was there before us is nobody's temporary file
				e.seen = now
			}
			d.entries[path] = e
		}
		sooner(e.look(now, Decoder{NodeName: d.NodeName, Source: FromFile}))
	}
	for path, e := range d.entries {
		if present.Has(path) {
			continue
		}
		if e.gone.IsZero() {
			e.gone = now
		}
		if left := removeDelay - now.Sub(e.gone); left > 0 && e.pod != nil {
			sooner(left)
		} else {
			delete(d.entries, path)
		}
	}
	u, later := d.update(now)
	sooner(later)
	if single && len(u.Pods) == 0 && len(u.Problems) > 0 {
		u.Incomplete = true // statement 8: a bad single file is an error and no update
	}
	return u, again
}

// list returns the paths that may be manifests, in order. A path that does not exist has none
// (statement 6).
func (d *Directory) list() (paths []string, single bool, err error) {
	info, err := os.Stat(d.Path)
	switch {
	case os.IsNotExist(err):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("cannot read static pods: %w", err)
	case info.Mode().IsRegular():
		return []string{d.Path}, true, nil
	case !info.IsDir():
		return nil, false, fmt.Errorf("cannot read static pods: path is not a directory or file")
	}
	found, err := os.ReadDir(d.Path)
	if err != nil && !os.IsNotExist(err) {
		return nil, false, fmt.Errorf("cannot read static pods: %w", err)
	}
	for _, f := range found { // sorted by name
		if !strings.HasPrefix(f.Name(), ".") {
			paths = append(paths, filepath.Join(d.Path, f.Name()))
		}
	}
	return paths, false, nil
}

// update makes the full set of what the entries hold: one pod per full name and per UID, that of the
// file which has been used so far or else the first by name (statement 27). It returns also after what
// time there is more to tell, 0 for never.
func (d *Directory) update(now time.Time) (u Update, later time.Duration) {
	tell := func(e *entry, p runtime.Problem) {
		if wait := e.young(now); p.Warning && wait > 0 {
			later = wait
			return
		}
		u.Problems = append(u.Problems, p)
	}
	paths := make([]string, 0, len(d.entries))
	for path := range d.entries {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	owner := map[string]string{} // "name:..." or "uid:..." -> path
	claim := func(path string) {
		e := d.entries[path]
		if e == nil || e.pod == nil {
			return
		}
		for _, key := range []string{"name:" + e.pod.FullName(), "uid:" + string(e.pod.UID)} {
			if _, taken := owner[key]; !taken {
				owner[key] = path
			}
		}
	}
	for _, path := range paths {
		if e := d.entries[path]; e.pod != nil && d.chosen[e.pod.FullName()] == path {
			claim(path)
		}
	}
	for _, path := range paths {
		claim(path)
	}
	chosen := map[string]string{}
	for _, path := range paths {
		e := d.entries[path]
		if e.problem != nil {
			tell(e, *e.problem)
		}
		if e.pod == nil {
			continue
		}
		other := owner["name:"+e.pod.FullName()]
		if other == path {
			other = owner["uid:"+string(e.pod.UID)]
		}
		if other == path {
			u.Pods = append(u.Pods, e.pod)
			chosen[e.pod.FullName()] = path
		} else if d.entries[other].gone.IsZero() {
			tell(e, runtime.Problem{Source: path, Warning: true,
				Message: fmt.Sprintf("ignored: %s already defines pod %s with UID %s", other,
					d.entries[other].pod.FullName(), d.entries[other].pod.UID)})
		}
	}
	d.chosen = chosen
	return u, later
}

// sameUpdate says whether the supervisor knows all of b already.
func sameUpdate(a, b *Update) bool {
	return a != nil && a.Incomplete == b.Incomplete && slices.Equal(a.Problems, b.Problems) &&
		slices.EqualFunc(a.Pods, b.Pods, func(x, y *runtime.Pod) bool { return x.Hash == y.Hash && x.Origin == y.Origin })
}
