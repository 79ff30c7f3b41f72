package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/pathname"
	"github.com/kubecrank/kubecrank/phases/resource"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func openJournal(t *testing.T, root string) *Journal {
	t.Helper()
	j, err := Open(root, config.PathsBelow(root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func loadHistory(t *testing.T, root string) History {
	t.Helper()
	h, err := Load(root, config.PathsBelow(root))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func at(h History, path string) resource.Claim { c, _ := h.At(path); return c }

func begun(verb string) Record { return Record{Time: testTime, Verb: verb, What: RunBegun} }

// The journal is born with its directories, whose makers it names, and only when there is something to say.
func TestJournalIsBornWithItsDirectory(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	paths := config.PathsBelow(root)
	j := openJournal(t, root)
	j.Begin(begun("init"))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a commit of nothing made something: %v", err)
	}
	if err := j.Commit(Record{Time: testTime, Verb: "init", What: Intent,
		Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: filepath.Join(root, "f")}, SHA256: "aa"}}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(paths.Journal)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	h := loadHistory(t, root)
	if !reflect.DeepEqual(h, j.History()) {
		t.Errorf("on disk:   %+v\nin memory: %+v", h, j.History())
	}
	want := []string{root, filepath.Join(root, "var"), filepath.Join(root, "var", "lib"), paths.State, filepath.Join(root, "f")}
	var got []string
	for _, c := range h.InOrder() {
		got = append(got, c.Key)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("owned %v, want %v", got, want)
	}
	if at(h, paths.State).Kind != resource.Tree || at(h, root).Kind != resource.Dir {
		t.Errorf("kinds are %v", h.Claims)
	}
}

// In a state directory that was there before, only what comes later is ours.
func TestJournalInAnExistingDirectory(t *testing.T) {
	root := t.TempDir()
	paths := config.PathsBelow(root)
	if err := os.MkdirAll(filepath.Join(paths.State, "theirs"), 0o755); err != nil {
		t.Fatal(err)
	}
	j := openJournal(t, root)
	if err := j.Commit(begun("init")); err != nil {
		t.Fatal(err)
	}
	want := map[resource.Resource]resource.Claim{resource.EntriesOf(paths.State, ""): {
		Resource: resource.EntriesOf(paths.State, ""), Except: []string{"theirs"}, Done: true, Order: 1,
	}}
	if got := loadHistory(t, root).Claims; !reflect.DeepEqual(got, want) {
		t.Errorf("owned %+v, want %+v", got, want)
	}
}

// A last line that was torn is left out when it is read, and cut off when it is written.
func TestJournalRepairsATornEnd(t *testing.T) {
	for name, tail := range map[string]string{
		"half a record":            `{"time":"2026-01-02T03:04:05Z","verb":"in`,
		"a record without its end": `{"time":"2026-01-02T03:04:05Z","verb":"init","what":"run-done"}`,
		"zeros":                    "\x00\x00\x00\x00",
		"half a record and zeros":  `{"verb":` + "\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := config.PathsBelow(root).Journal
			j := openJournal(t, root)
			if err := j.Commit(begun("init")); err != nil {
				t.Fatal(err)
			}
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(whole, tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			before := loadHistory(t, root)
			if before.Records == 0 || before.Done {
				t.Fatalf("history is %+v", before)
			}
			again := openJournal(t, root)
			if err := again.Commit(Record{Time: testTime, Verb: "init", What: RunDone}); err != nil {
				t.Fatal(err)
			}
			after := loadHistory(t, root)
			if after.Records != before.Records+1 || !after.Done {
				t.Errorf("history is %+v, was %+v", after, before)
			}
			data, err := os.ReadFile(path)
			if err != nil || !strings.HasPrefix(string(data), string(whole)) {
				t.Errorf("what was whole has changed: %s", data)
			}
		})
	}
}

// Garbage before the end is an error with the line and a remedy: nothing is guessed.
func TestJournalRefusesGarbage(t *testing.T) {
	good := `{"time":"2026-01-02T03:04:05Z","verb":"init","what":"run-begun"}` + "\n"
	for name, test := range map[string]struct {
		text, want string
		line       int
	}{
		"text":                  {good + "hello\n" + good, "no record", 2},
		"another JSON":          {`{"hello":1}` + "\n", "what or verb is missing", 1},
		"a wrong type":          {`{"verb":1,"what":"done"}` + "\n", "no record", 1},
		"a relative path":       {good + `{"verb":"init","what":"done","made":{"kind":"file","path":"etc"}}` + "\n", "not absolute", 2},
		"outside the root":      {good + `{"verb":"init","what":"done","made":{"kind":"file","path":"/etc/passwd"}}` + "\n", "outside", 2},
		"dots to outside":       {`{"verb":"init","what":"done","made":{"kind":"tree","path":"ROOT/../other"}}` + "\n", "outside", 1},
		"a tree above the root": {`{"verb":"init","what":"done","made":{"kind":"tree","path":"ROOT/.."}}` + "\n", "outside", 1},
		"a line below a root":   {`{"verb":"init","what":"done","made":{"kind":"line","path":"ROOT/etc/passwd:x"}}` + "\n", "passwd or group", 1},
		"the root directory":    {`{"verb":"init","what":"done","made":{"kind":"dir","path":"/"}}` + "\n", "root directory", 1},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			paths := config.PathsBelow(root)
			if err := os.MkdirAll(paths.State, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(paths.Journal, []byte(strings.ReplaceAll(test.text, "ROOT", root)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(root, paths)
			var je *Error
			if !errors.As(err, &je) || je.Line != test.line || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error is %v", err)
			}
			if !strings.Contains(err.Error(), fmt.Sprintf("line %d", test.line)) || !strings.Contains(je.Hint(), "line") {
				t.Errorf("error %q, hint %q", err, je.Hint())
			}
			if _, err := Open(root, paths); err == nil {
				t.Error("it can be opened for writing")
			}
		})
	}
}

// A disk that is full takes half a record. When there is space again, the next one does not stand behind that half.
func TestJournalOnFullDisk(t *testing.T) { // not parallel: the limit is the process's
	root := t.TempDir()
	paths := config.PathsBelow(root)
	j := openJournal(t, root)
	if err := j.Commit(begun("init")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(paths.Journal)
	if err != nil {
		t.Fatal(err)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	rec := Record{Verb: "init", What: Intent, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: filepath.Join(root, "f")}}}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(info.Size()) + 20, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	err = j.Commit(rec)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Fatal("the limit did not hold")
	}
	if err := j.Commit(rec); err != nil {
		t.Fatal(err)
	}
	if h := loadHistory(t, root); at(h, filepath.Join(root, "f")).Kind != resource.File {
		t.Errorf("the history is %+v", h)
	}
}

// The beginning of a run whose first write fails stands before what a phase beside the failed one commits.
func TestJournalKeepsWhatIsPending(t *testing.T) {
	root := t.TempDir()
	j := openJournal(t, root)
	blocked := filepath.Join(root, "var")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j.Begin(begun(VerbInit))
	rec := Record{Verb: VerbInit, What: Intent, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: filepath.Join(root, "f")}}}
	if err := j.Commit(rec); err == nil {
		t.Fatal("a journal in a file is written")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if err := j.Commit(rec); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(config.PathsBelow(root).Journal)
	if err != nil || strings.Count(string(data), `"run-begun"`) != 1 || !reflect.DeepEqual(loadHistory(t, root), j.History()) {
		t.Errorf("%s, %v", data, err)
	}
}

// A journal that lost its content is not taken for none: reset would say that there is nothing to do.
func TestJournalRefusesToHaveLostItsContent(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "NUL bytes": "\x00\x00\x00", "half a line": `{"verb":"in`} {
		root := t.TempDir()
		paths := config.PathsBelow(root)
		if err := os.MkdirAll(paths.State, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(paths.Journal, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var je *Error
		if _, err := Load(root, paths); !errors.As(err, &je) || !strings.Contains(err.Error(), "lost") {
			t.Errorf("%s: error is %v", name, err)
		}
		if _, err := Open(root, paths); err == nil {
			t.Errorf("%s: it can be opened for writing", name)
		}
	}
}

// A journal that is no regular file is not followed, and does not hang.
func TestJournalThatIsNoFile(t *testing.T) {
	root := t.TempDir()
	paths := config.PathsBelow(root)
	if err := os.MkdirAll(paths.Journal, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root, paths); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error is %v", err)
	}
	if err := os.Remove(paths.Journal); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", paths.Journal); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root, paths); err == nil {
		t.Error("a link was followed")
	}
}

// With a root, nothing outside it is ever taken down as ours.
func TestJournalRefusesToOwnTheOutside(t *testing.T) {
	root := t.TempDir()
	j := openJournal(t, root)
	err := j.Commit(Record{Verb: "init", What: Intent, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: "/etc/kubernetes/pki/ca.crt"}}})
	if err == nil || !strings.Contains(err.Error(), "outside") {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Stat(config.PathsBelow(root).State); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the journal was written")
	}
}

func TestHistory(t *testing.T) {
	file := func(sum string) *resource.Claim {
		return &resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: "/f"}, SHA256: sum}
	}
	tree := &resource.Claim{Resource: resource.Resource{Kind: resource.Tree, Key: "/t"}}
	for name, test := range map[string]struct {
		records []Record
		check   func(h History) bool
	}{
		"an intent is ours, and not done": {
			[]Record{{What: Intent, Claim: file("aa")}},
			func(h History) bool { o := at(h, "/f"); return o.Wrote("aa") && !o.Done },
		},
		"a file that was replaced is ours in both forms: the write may not have happened": {
			[]Record{{What: Intent, Claim: file("aa")}, {What: StepDone, Claim: file("aa")}, {What: Intent, Claim: file("bb")}},
			func(h History) bool {
				o := at(h, "/f")
				return o.Wrote("aa") && o.Wrote("bb") && !o.Wrote("cc") && o.Done
			},
		},
		"what was removed is not ours any more": {
			[]Record{{What: StepDone, Claim: file("aa")}, {What: Removed, Claim: file("aa")}},
			func(h History) bool { return len(h.Claims) == 0 },
		},
		"what was there before is not ours": {
			[]Record{{What: StepDone, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.Dir, Key: "/d"}, Existed: true}}},
			func(h History) bool { _, ours := h.At("/d"); _, before := h.Before["/d"]; return !ours && before },
		},
		"what is ours stays ours when a later run finds it there": {
			[]Record{{What: StepDone, Claim: file("aa")}, {What: StepDone, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: "/f"}, Existed: true}}},
			func(h History) bool { return at(h, "/f").Done && len(h.Before) == 0 },
		},
		"an intent is void when somebody else was faster": {
			[]Record{{What: Intent, Claim: tree}, {What: StepDone, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.Dir, Key: "/t"}, Existed: true}}},
			func(h History) bool { return len(h.Claims) == 0 && len(h.Before) == 1 },
		},
		"a tree stays one when it is also somebody's parent": {
			[]Record{{What: StepDone, Claim: tree}, {What: Intent, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.Dir, Key: "/t"}}}},
			func(h History) bool { return at(h, "/t").Kind == resource.Tree && at(h, "/t").Done },
		},
		"a node is set up when init has ended": {
			[]Record{begun(VerbInit), {Verb: VerbInit, What: RunDone}, {Verb: VerbInit, What: NodeSetUp}},
			func(h History) bool { return h.SetUp && h.Done },
		},
		"and not when a part of init has": {
			[]Record{begun(VerbInit), {Verb: VerbInit, What: RunDone}},
			func(h History) bool { return !h.SetUp && h.Done },
		},
		"and still when a later init has not": {
			[]Record{begun(VerbInit), {Verb: VerbInit, What: NodeSetUp}, begun(VerbInit), {Verb: VerbInit, What: StepFailed}},
			func(h History) bool { return h.SetUp && !h.Done },
		},
		"and not when a reset has begun": {
			[]Record{begun(VerbInit), {Verb: VerbInit, What: NodeSetUp}, begun(VerbReset)},
			func(h History) bool { return !h.SetUp && !h.Done },
		},
		"the node's identity outlives a run that does not name it": {
			[]Record{{Verb: VerbInit, What: RunBegun, Node: &Identity{Name: "n", AdvertiseAddress: "10.0.0.1"}}, begun(VerbReset)},
			func(h History) bool { return h.Node == Identity{Name: "n", AdvertiseAddress: "10.0.0.1"} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := History{}
			for _, r := range test.records {
				h.Add(r)
			}
			if !test.check(h) {
				t.Errorf("history is %+v", h)
			}
		})
	}
}

// A value that was handed out does not change under its reader.
func TestHistoryIsAValue(t *testing.T) {
	root := t.TempDir()
	j := openJournal(t, root)
	if err := j.Commit(begun("init")); err != nil {
		t.Fatal(err)
	}
	before := j.History()
	n := len(before.Claims)
	if err := j.Commit(Record{Verb: "init", What: Intent, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: filepath.Join(root, "f")}}}); err != nil {
		t.Fatal(err)
	}
	if len(before.Claims) != n || len(j.History().Claims) != n+1 {
		t.Errorf("%d and %d owned, want %d and %d", len(before.Claims), len(j.History().Claims), n, n+1)
	}
}

// FuzzJournal: no journal crashes a reader, and what it takes for ours lies below the root.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"time":"2026-01-02T03:04:05Z","verb":"init","what":"run-begun"}` + "\n"))
	f.Add([]byte(`{"verb":"init","what":"done","made":{"kind":"tree","path":"/root/../etc","except":["a"]}}` + "\n{"))
	f.Add([]byte("\x00\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, whole, err := parse("/srv/root", "journal", data)
		if err != nil {
			return
		}
		if whole > int64(len(data)) {
			t.Errorf("%d whole bytes of %d", whole, len(data))
		}
		for r, o := range h.Claims {
			path := filepath.Clean(r.Key)
			if !pathname.Below("/srv/root", path) && (o.Kind != resource.Dir || !pathname.Below(path, "/srv/root")) {
				t.Errorf("owns %s (%s)", path, o.Kind)
			}
		}
	})
}

// A line is removed from the host's two files of accounts alone, whatever a journal says.
func TestAccountLines(t *testing.T) {
	for path, want := range map[string]bool{
		"/etc/passwd:kubeadm-etcd": true, "/etc/group:kubeadm-etcd": true, "/etc/passwd:": false, "/etc/passwd": false,
		"/etc/shadow:root": false, "/etc/../etc/passwd:x": false, "/etc/ssh/sshd_config:x": false, "/tmp/link:root": false,
	} {
		line := fmt.Sprintf(`{"verb":"init","what":"done","made":{"kind":"line","path":%q}}`, path)
		if _, err := parseRecord("", []byte(line)); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := parseRecord("/root", []byte(line)); err == nil {
			t.Errorf("%s is believed below a root", path)
		}
	}
}
