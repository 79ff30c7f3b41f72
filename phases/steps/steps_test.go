package steps

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeHost is a machine written by hand.
type fakeHost struct {
	files map[string]resource.Seen
	owned map[string]resource.Claim
	setUp bool
	now   time.Time
}

func (f *fakeHost) host() plan.Host {
	h := journal.History{SetUp: f.setUp, Claims: byResource(f.owned)}
	return plan.Host{
		Now: f.now, History: h, SupervisorRuns: func() bool { return false },
		Look: func(path string) resource.Seen {
			if s, ok := f.files[path]; ok {
				return s
			}
			return resource.Seen{Kind: resource.Absent}
		},
		Claim: h.Claim,
	}
}

func byResource(byPath map[string]resource.Claim) map[resource.Resource]resource.Claim {
	claims := map[resource.Resource]resource.Claim{}
	for _, c := range byPath {
		claims[c.Resource] = c
	}
	return claims
}

func aFile(data string) resource.Seen {
	return resource.Seen{Kind: resource.Regular, Mode: 0o600, Data: []byte(data), SHA256: resource.Sum([]byte(data))}
}

func ourFile(path string, contents ...string) resource.Claim {
	o := resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: path}, Mode: 0o600, Done: true}
	for _, c := range contents {
		o.Sums = append(o.Sums, resource.Sum([]byte(c)))
	}
	return o
}

func TestWriteFileCompare(t *testing.T) {
	step := WriteFile{Path: "/m/a.yaml", Mode: 0o600, Data: []byte("new\n")}
	ours := func(contents ...string) map[string]resource.Claim {
		return map[string]resource.Claim{step.Path: ourFile(step.Path, contents...)}
	}
	for name, test := range map[string]struct {
		host    fakeHost
		state   plan.State
		refused plan.Refusal
		detail  string
		diff    bool
	}{
		"nothing there": {fakeHost{}, plan.New, "", "", false},
		"the same, ours": {
			fakeHost{files: map[string]resource.Seen{step.Path: aFile("new\n")}, owned: ours("new\n")}, plan.Unchanged, "", "", false,
		},
		"the same, not ours": {fakeHost{files: map[string]resource.Seen{step.Path: aFile("new\n")}}, plan.Unchanged, "", "", false},
		"other content, not ours": {
			fakeHost{files: map[string]resource.Seen{step.Path: aFile("old\n")}}, plan.Conflict, plan.NotOurs, "did not write it", true,
		},
		"ours, of a run that never ended": {
			fakeHost{files: map[string]resource.Seen{step.Path: aFile("old\n")}, owned: ours("old\n")}, plan.Changed, "", "", true,
		},
		"ours, of a node that is set up": {
			fakeHost{files: map[string]resource.Seen{step.Path: aFile("old\n")}, owned: ours("old\n"),
				setUp: true}, plan.Conflict, plan.OtherConfig, "would change", true,
		},
		"ours, then changed by hand": {
			fakeHost{files: map[string]resource.Seen{step.Path: aFile("edited\n")},
				owned: ours("old\n")}, plan.Conflict, plan.NotOurs, "changed by hand", true,
		},
		"set up, then deleted by hand": {fakeHost{owned: ours("new\n"), setUp: true}, plan.New, "", "", false},
		"a link that leads nowhere": {
			fakeHost{files: map[string]resource.Seen{step.Path: {Kind: resource.Symlink}}}, plan.Conflict, plan.NotOurs, "symlink", false,
		},
		"a directory": {
			fakeHost{files: map[string]resource.Seen{step.Path: {Kind: resource.Directory}}}, plan.Conflict, plan.NotOurs, "directory", false,
		},
		"this user may not look": {
			fakeHost{files: map[string]resource.Seen{step.Path: {Kind: resource.Unreadable,
				Error: "permission denied"}}}, plan.Unknown, "", "permission denied", false,
		},
		"ours, with another mode": {
			fakeHost{files: map[string]resource.Seen{step.Path: {Kind: resource.Regular, Mode: 0o644, Data: step.Data, SHA256: resource.Sum(step.Data)}},
				owned: ours("new\n")}, plan.Changed, "", "0644", false,
		},
		"not ours, same, with another mode": {
			fakeHost{files: map[string]resource.Seen{step.Path: {Kind: resource.Regular, Mode: 0o644, Data: step.Data,
				SHA256: resource.Sum(step.Data)}}}, plan.Unchanged, "", "", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := step.Compare(test.host.host())
			if w.State != test.state || w.Refused != test.refused || !strings.Contains(w.Detail, test.detail) ||
				(w.Diff != "") != test.diff {
				t.Errorf("got %s %q %q, diff %q", w.State, w.Refused, w.Detail, w.Diff)
			}
			if test.diff && (!strings.Contains(w.Diff, "+new") || !strings.Contains(w.Diff, "-")) {
				t.Errorf("diff is %q", w.Diff)
			}
			if writes := w.Files != nil; writes != (w.State == plan.New || w.State == plan.Changed) {
				t.Errorf("%s, and writes: %v", w.State, writes)
			}
		})
	}
}

// A secret's difference is not shown.
func TestWriteFileKeepsSecrets(t *testing.T) {
	step := WriteFile{Path: "/s", Data: []byte("token: new"), Secret: true}
	h := fakeHost{files: map[string]resource.Seen{"/s": aFile("token: old")}}
	if w := step.Compare(h.host()); w.Diff != "" || w.State != plan.Conflict {
		t.Errorf("work is %+v", w)
	}
	data, err := step.MarshalJSON()
	if err != nil || strings.Contains(string(data), "token") {
		t.Errorf("JSON is %s, %v", data, err)
	}
}

func TestMakeDirCompare(t *testing.T) {
	step := MakeDir{Path: "/var/lib/etcd", Mode: 0o700, Tree: true, Entries: []string{"member"}}
	dirs := map[string]resource.Seen{"/var": {Kind: resource.Directory}, "/var/lib": {Kind: resource.Directory}}
	with := func(names ...string) map[string]resource.Seen {
		return map[string]resource.Seen{"/var": dirs["/var"], "/var/lib": dirs["/var/lib"], step.Path: {Kind: resource.Directory, Names: names}}
	}
	owned := func(done bool) map[string]resource.Claim {
		return map[string]resource.Claim{step.Path: {Resource: resource.Resource{Kind: resource.Tree, Key: step.Path}, Done: done}}
	}
	existed := resource.Claim{Resource: resource.Resource{Kind: resource.Dir, Key: step.Path}, Existed: true}
	for name, test := range map[string]struct {
		host  fakeHost
		state plan.State
		makes []resource.Claim
	}{
		"nothing there": {fakeHost{files: dirs}, plan.New, []resource.Claim{{Resource: resource.Resource{Kind: resource.Tree, Key: step.Path}, Mode: 0o700}}},
		"no parents": {fakeHost{files: map[string]resource.Seen{"/var": {Kind: resource.Directory}}}, plan.New,
			[]resource.Claim{{Resource: resource.Resource{Kind: resource.Dir, Key: "/var/lib"}, Mode: 0o755}, {Resource: resource.Resource{Kind: resource.Tree, Key: step.Path}, Mode: 0o700}}},
		"ours and done": {fakeHost{files: with("member"), owned: owned(true)}, plan.Unchanged, nil},
		"ours, killed before it was recorded as made": {
			fakeHost{files: with(), owned: owned(false)}, plan.Unchanged, []resource.Claim{{Resource: resource.Resource{Kind: resource.Tree, Key: step.Path}}},
		},
		"meant by us, but somebody else was faster": {
			fakeHost{files: with("theirs"), owned: owned(false)}, plan.Unchanged, []resource.Claim{existed,
				{Resource: resource.Resource{Kind: resource.Entries, Key: step.Path + "/member"}}},
		},
		"there before": {
			fakeHost{files: with("lost+found")}, plan.Unchanged, []resource.Claim{existed, {Resource: resource.Resource{Kind: resource.Entries, Key: step.Path + "/member"}}},
		},
		"there before, with what would be in our way": {
			fakeHost{files: with("lost+found", "member")}, plan.Unchanged, []resource.Claim{existed,
				{Resource: resource.Resource{Kind: resource.Entries, Key: step.Path + "/member"}, Except: []string{"member"}}},
		},
		"a file in the way":   {fakeHost{files: map[string]resource.Seen{step.Path: aFile("x")}}, plan.Conflict, nil},
		"not to be looked at": {fakeHost{files: map[string]resource.Seen{step.Path: {Kind: resource.Unreadable}}}, plan.Unknown, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := step.Compare(test.host.host())
			if w.State != test.state || !reflect.DeepEqual(w.Makes, test.makes) {
				t.Errorf("got %s %+v, want %s %+v", w.State, w.Makes, test.state, test.makes)
			}
		})
	}
}

// pkiHost makes a real PKI in memory, as an init would have left it.
func pkiHost(t *testing.T, issuing Issuing, specs ...pki.Spec) *fakeHost {
	t.Helper()
	f := &fakeHost{files: map[string]resource.Seen{}, owned: map[string]resource.Claim{}, now: testTime}
	for _, spec := range specs {
		w := IssueCertificate{Spec: spec, Issuing: issuing}.Compare(f.host())
		if w.State != plan.New {
			t.Fatalf("%s is %s (%s)", spec.Name, w.State, w.Detail)
		}
		files, err := w.Files(f.host())
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f.put(file)
		}
	}
	return f
}

func (f *fakeHost) put(file durable.File) {
	f.files[file.Path] = resource.Seen{Kind: resource.Regular, Mode: file.Mode, Data: file.Data, SHA256: resource.Sum(file.Data)}
	f.owned[file.Path] = ourFile(file.Path, string(file.Data))
}

func testSpecs(t *testing.T) (ca, leaf pki.Spec, issuing Issuing) {
	t.Helper()
	cfg := config.Default("")
	cfg = cfg.Complete(config.HostFacts{Hostname: "node-1"})
	for _, s := range pki.Specs(cfg) {
		switch s.Name {
		case "ca":
			ca = s
		case "apiserver-kubelet-client":
			leaf = s
		}
	}
	return ca, leaf, Issuing{PKI: "/pki", Algorithm: config.ECDSAP256, Validity: Span(time.Hour), CAValidity: Span(24 * time.Hour)}
}

func TestIssueCertificateCompare(t *testing.T) {
	ca, leaf, issuing := testSpecs(t)
	const caCrt, caKey, crt, key = "/pki/ca.crt", "/pki/ca.key", "/pki/apiserver-kubelet-client.crt", "/pki/apiserver-kubelet-client.key"
	notOurs := func(f *fakeHost) { f.owned = map[string]resource.Claim{} }
	for name, test := range map[string]struct {
		change   func(f *fakeHost)
		ca, leaf plan.State
		why      string // of the leaf, or of the CA if that is refused
	}{
		"all there":                       {func(*fakeHost) {}, plan.Unchanged, plan.Unchanged, ""},
		"all there, not ours":             {notOurs, plan.Unchanged, plan.Unchanged, ""},
		"nothing there":                   {func(f *fakeHost) { f.files = map[string]resource.Seen{} }, plan.New, plan.New, ""},
		"the leaf is not there":           {func(f *fakeHost) { delete(f.files, crt); delete(f.files, key) }, plan.Unchanged, plan.New, ""},
		"killed between the CA's files":   {func(f *fakeHost) { f.files = map[string]resource.Seen{caCrt: f.files[caCrt]} }, plan.Changed, plan.New, ""},
		"killed between the leaf's files": {func(f *fakeHost) { delete(f.files, key) }, plan.Unchanged, plan.Changed, "does not exist"},
		"the leaf's key was deleted on a node that is set up": {
			func(f *fakeHost) { delete(f.files, key); f.setUp = true }, plan.Unchanged, plan.Conflict, "does not exist",
		},
		"the CA's key was taken away (external CA)": {
			func(f *fakeHost) { delete(f.files, caKey); f.setUp = true }, plan.Unchanged, plan.Unchanged, "",
		},
		"an external CA from the start": {
			func(f *fakeHost) { notOurs(f); delete(f.files, caKey) }, plan.Unchanged, plan.Unchanged, "",
		},
		"an external CA that would have to sign": {func(f *fakeHost) {
			notOurs(f)
			f.files = map[string]resource.Seen{caCrt: f.files[caCrt]}
		}, plan.Unchanged, plan.Conflict, "external CA"},
		"an external CA that would have to sign again": {func(f *fakeHost) {
			delete(f.owned, caKey)
			delete(f.files, caKey)
			delete(f.files, key)
		}, plan.Unchanged, plan.Conflict, "does not exist"},
		"expired, of a run that never ended": {func(f *fakeHost) { f.now = f.now.Add(2 * time.Hour) }, plan.Unchanged, plan.Changed, "expired"},
		"expired, on a node that is set up": {
			func(f *fakeHost) { f.now = f.now.Add(2 * time.Hour); f.setUp = true }, plan.Unchanged, plan.Conflict, "expired",
		},
		"expired, not ours": {
			func(f *fakeHost) { notOurs(f); f.now = f.now.Add(2 * time.Hour) }, plan.Unchanged, plan.Conflict, "expired",
		},
		"the CA was deleted on a node that is set up": {func(f *fakeHost) {
			delete(f.files, caCrt)
			delete(f.files, caKey)
			f.setUp = true
		}, plan.New, plan.Conflict, "not there"},
		"the CA is broken, not ours": {
			func(f *fakeHost) { notOurs(f); f.files[caCrt] = aFile("hello") }, plan.Conflict, plan.Conflict, "ca.crt",
		},
		"changed by hand to something broken": {func(f *fakeHost) { f.files[crt] = aFile("hello") }, plan.Unchanged, plan.Conflict, crt},
		"a key that may not be read": {
			func(f *fakeHost) {
				f.files[key] = resource.Seen{Kind: resource.Unreadable,
					Error: "permission denied"}
			}, plan.Unchanged, plan.Unknown, "permission denied",
		},
		"a directory in the way": {
			func(f *fakeHost) { f.files[key] = resource.Seen{Kind: resource.Directory} }, plan.Unchanged, plan.Conflict, "is a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := pkiHost(t, issuing, ca, leaf)
			test.change(f)
			gotCA := IssueCertificate{Spec: ca, Issuing: issuing}.Compare(f.host())
			got := IssueCertificate{Spec: leaf, Issuing: issuing}.Compare(f.host())
			if gotCA.State != test.ca || got.State != test.leaf || !strings.Contains(got.Detail, test.why) {
				t.Fatalf("CA is %s (%s), leaf is %s (%s)", gotCA.State, gotCA.Detail, got.State, got.Detail)
			}
			if got.State == plan.Conflict && got.Hint == "" && got.Refused == plan.NotValid && test.why != "not there" {
				t.Error("there is no hint")
			}
			// What is said to be made can be made, with the CA made first if need be, and is then good.
			remake(t, f, IssueCertificate{Spec: ca, Issuing: issuing}, gotCA)
			remake(t, f, IssueCertificate{Spec: leaf, Issuing: issuing}, got)
		})
	}
}

func remake(t *testing.T, f *fakeHost, step plan.Step, w plan.Work) {
	t.Helper()
	if w.State != plan.New && w.State != plan.Changed {
		return
	}
	files, err := w.Files(f.host())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f.put(file)
	}
	if again := step.Compare(f.host()); again.State != plan.Unchanged {
		t.Errorf("%s: made, and then %s (%s)", step.Describe(), again.State, again.Detail)
	}
}

func TestWriteKubeconfigCompare(t *testing.T) {
	ca, _, issuing := testSpecs(t)
	step := WriteKubeconfig{
		Spec: pki.KubeconfigSpec{Name: "admin.conf", User: "u", CommonName: "u", Server: "https://10.0.0.1:6443",
			ClusterName: "kubernetes"},
		Dir: "/k", Issuing: issuing,
	}
	const path = "/k/admin.conf"
	for name, test := range map[string]struct {
		change func(f *fakeHost)
		state  plan.State
		why    string
	}{
		"there":     {func(*fakeHost) {}, plan.Unchanged, ""},
		"not there": {func(f *fakeHost) { delete(f.files, path) }, plan.New, ""},
		"not there, and the CA is external": {
			func(f *fakeHost) {
				f.owned = map[string]resource.Claim{}
				delete(f.files, path)
				delete(f.files, "/pki/ca.key")
			}, plan.Conflict, "external CA",
		},
		"not there, and the CA was not finished": {
			func(f *fakeHost) { delete(f.files, path); delete(f.files, "/pki/ca.key") }, plan.New, "",
		},
		"broken, not ours":   {func(f *fakeHost) { f.files[path] = aFile("hello") }, plan.Conflict, path},
		"another CA, ours":   {func(f *fakeHost) { f.anotherCA(t, ca, issuing) }, plan.Changed, "CA"},
		"another CA, set up": {func(f *fakeHost) { f.anotherCA(t, ca, issuing); f.setUp = true }, plan.Conflict, "CA"},
		"no CA any more": {
			func(f *fakeHost) { delete(f.files, "/pki/ca.crt"); delete(f.files, "/pki/ca.key"); f.setUp = true }, plan.Conflict, "not there",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := pkiHost(t, issuing, ca)
			remake(t, f, step, step.Compare(f.host()))
			test.change(f)
			w := step.Compare(f.host())
			if w.State != test.state || !strings.Contains(w.Detail, test.why) {
				t.Errorf("got %s (%s)", w.State, w.Detail)
			}
			authority := IssueCertificate{Spec: ca, Issuing: issuing}
			remake(t, f, authority, authority.Compare(f.host()))
			remake(t, f, step, w)
		})
	}
}

func (f *fakeHost) anotherCA(t *testing.T, ca pki.Spec, issuing Issuing) {
	t.Helper()
	other := pkiHost(t, issuing, ca)
	for path, seen := range other.files {
		f.files[path] = seen
	}
}

// The mode does not depend on the umask of whoever runs it.
func TestMakeDirsModes(t *testing.T) {
	base := t.TempDir()
	dirs := []string{filepath.Join(base, "a"), filepath.Join(base, "a", "b")}
	if err := makeDirs(dirs, 0o777); err != nil {
		t.Fatal(err)
	}
	for i, mode := range []fs.FileMode{0o755, 0o777} {
		if info, err := os.Stat(dirs[i]); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", dirs[i], info.Mode(), err)
		}
	}
	if err := makeDirs(dirs, 0o700); err != nil {
		t.Errorf("again: %v", err)
	}
}

// A manifest that a user has mended after a failure stays and becomes ours, as long as the configuration is the same.
func TestEditedByHand(t *testing.T) {
	step := WriteFile{Path: "/m/a.yaml", Mode: 0o600, Data: []byte("new\n"), Editable: true}
	h := journal.History{}
	h.Add(journal.Record{What: journal.StepDone, Claim: &resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: step.Path}, SHA256: resource.Sum(step.Data)}})
	at := func(content string, setUp bool) *fakeHost {
		return &fakeHost{files: map[string]resource.Seen{step.Path: aFile(content)}, owned: map[string]resource.Claim{step.Path: h.InOrder()[0]}, setUp: setUp}
	}
	if w := step.Compare(at("edited\n", true).host()); w.State != plan.Conflict {
		t.Errorf("on a node that is set up: %s", w.State)
	}
	for _, content := range []string{"edited\n", "edited again\n"} {
		w := step.Compare(at(content, false).host())
		if w.State != plan.Unchanged || len(w.Makes) != 1 || w.Makes[0].SHA256 != resource.Sum([]byte(content)) {
			t.Fatalf("%q: %s, %+v", content, w.State, w.Makes)
		}
		h.Add(journal.Record{What: journal.StepDone, Claim: &w.Makes[0]})
		for _, setUp := range []bool{false, true} {
			if w := step.Compare(at(content, setUp).host()); w.State != plan.Unchanged || len(w.Makes) > 0 {
				t.Errorf("%q, once it is known: %s %+v", content, w.State, w.Makes)
			}
		}
	}
	other := step
	other.Data = []byte("other\n")
	if w := other.Compare(at("edited again\n", true).host()); w.State != plan.Conflict || w.Refused != plan.OtherConfig {
		t.Errorf("with another configuration on a node that is set up: %s %s", w.State, w.Refused)
	}
	if w := other.Compare(at("edited a third time\n", false).host()); w.State != plan.Conflict {
		t.Errorf("edited, and the configuration changed: %s", w.State)
	}
}
