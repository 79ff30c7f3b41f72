package manifests

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
)

func patchFiles(t testing.TB) []File {
	t.Helper()
	files, err := Render(testConfig(""), Host{})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func pick(files []File, name string) File {
	for _, f := range files {
		if f.Name == name+".yaml" {
			return f
		}
	}
	return File{}
}

// Each type of patch changes what it should, in the order of the files, and nothing else.
func TestApplyPatches(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		patches []Patch
		check   func([]File) bool
	}{
		"strategic": {[]Patch{{"kube-apiserver.yaml", []byte(
			"spec:\n  containers:\n  - name: kube-apiserver\n    resources: {requests: {cpu: 1}}\n")}},
			func(f []File) bool {
				p := pick(f, APIServer).Pod
				return p.Spec.Containers[0].Resources.Requests.Cpu().String() == "1" && len(p.Spec.Containers[0].Command) > 10
			}},
		"merge": {[]Patch{{"etcd+merge.json", []byte(`{"metadata": {"annotations": null, "labels": {"a": "b"}}}`)}},
			func(f []File) bool {
				p := pick(f, Etcd).Pod
				return p.Annotations == nil && p.Labels["a"] == "b" && p.Labels["component"] == "etcd"
			}},
		"json": {[]Patch{{"kube-scheduler+json.yaml", []byte("- op: add\n  path: /spec/containers/0/command/-\n  value: --v=5\n")}},
			func(f []File) bool {
				c := pick(f, Scheduler).Pod.Spec.Containers[0].Command
				return c[len(c)-1] == "--v=5"
			}},
		"order and several documents": {[]Patch{
			{"etcd0.yaml", []byte("metadata: {labels: {a: '1', b: '1'}}\n---\nmetadata: {labels: {a: '2'}}\n")},
			{"etcd1+merge.yaml", []byte("# the last\nmetadata: {labels: {b: '3'}}\n")},
		}, func(f []File) bool { l := pick(f, Etcd).Pod.Labels; return l["a"] == "2" && l["b"] == "3" }},
		"a volume of a list": {[]Patch{{"kube-apiserver.yaml", []byte(
			"spec:\n  volumes: [{name: x, hostPath: {path: /x}}, {name: ca-certs, $patch: delete}]\n")}},
			func(f []File) bool {
				v := pick(f, APIServer).Pod.Spec.Volumes
				return len(v) == 2 && v[0].Name == "x" && v[1].Name == "k8s-certs"
			}},
		"targets of later": {[]Patch{{"kubeletconfiguration.yaml", []byte("a: b")}, {"corednsdeployment+json.yaml", []byte("[]")}},
			func(f []File) bool { return true }},
	} {
		files := patchFiles(t)
		before := patchFiles(t)
		patched, notes, errs := ApplyPatches(files, tc.patches)
		if len(errs) > 0 || len(notes) > 0 {
			t.Errorf("%s: %v %v", name, errs, notes)
			continue
		}
		if !tc.check(patched) {
			t.Errorf("%s: not applied", name)
		}
		if !reflect.DeepEqual(files, before) {
			t.Errorf("%s: the input has changed", name)
		}
		for i, f := range patched {
			again, err := decode(f.Data)
			if err != nil || !reflect.DeepEqual(again, f.Pod) {
				t.Errorf("%s: bytes and pod of %s differ: %v", name, f.Name, err)
			}
			if reflect.DeepEqual(f.Pod, files[i].Pod) && !bytes.Equal(f.Data, files[i].Data) {
				t.Errorf("%s: %s has other bytes and the same pod", name, f.Name)
			}
		}
	}
}

// A file that is of no effect is a note; one that is wrong is an error with a remedy; one error hides no other.
func TestPatchProblems(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, data, note, problem string }{
		{"README", "x", "does not end in .yaml", ""},
		{"etcd.yml", "x", "does not end in .yaml", ""},
		{".yaml", "x", "does not end", ""},
		{"kubelet.yaml", "x", "does not begin with one of", ""},
		{"etcd.yaml", "", "is empty", ""},
		{"etcd+smp.yaml", "a: b", "", `no patch type "smp"`},
		{"etcd+.yaml", "a: b", "", `no patch type ""`},
		{"etcd+json.yaml", "a: b", "", "not a list of operations"},
		{"etcd+json.yaml", "- {op: explode, path: /}", "", `no operation "explode"`},
		{"etcd+json.yaml", "- {op: remove, path: /spec/nothing}", "", `cannot remove /spec/nothing: the manifest has nothing there`},
		{"etcd+json.yaml", "- {op: replace, path: /spec/containers/7, value: {}}", "", `cannot replace /spec/containers/7: the manifest has nothing there`},
		{"etcd+json.yaml", "- {op: add, path: /spec/a/b, value: 1}", "", `cannot add /spec/a/b: the manifest has nothing there`},
		{"etcd+json.yaml", "- {op: add, path: spec, value: 1}", "", "begin with a slash"},
		{"etcd+json.yaml", "- {op: add, path: /spec}", "", "has no value"},
		{"etcd+json.yaml", "- {op: add, value: 1}", "", "has no path"},
		{"etcd+json.yaml", "- {op: move, path: /spec/x}", "", "has no from"},
		{"etcd+json.yaml", "- {op: move, from: /spec, path: /spec/x}", "", "into itself"},
		{"etcd+json.yaml", "- {op: test, path: /kind, value: Node}", "", "another value"},
		{"etcd+json.yaml", "- {op: remove, path: ''}", "", "whole document"},
		{"etcd+json.yaml", "- {op: add, path: /a, value: 1, valeu: 2}", "", "valeu"},
		{"etcd+merge.yaml", "- a", "", "a merge patch must be a mapping"},
		{"etcd.yaml", "- a", "", "strategic merge patch must be a mapping"},
		{"etcd.yaml", "a", "", "strategic merge patch must be a mapping"},
		{"etcd.yaml", "spec: {hostNetwork: [1]}", "", "not a Pod"},
		{"etcd.yaml", "spec: {containers: [{image: x}]}", "", "name"},
		{"etcd.yaml", "spec: {containers: nothing}", "", ""},
		{"etcd.yaml", "spec: {hostNetwrok: true}", "", "hostNetwrok"},
		{"etcd+merge.yaml", "kind: Node", "", "not v1 Pod"},
		{"etcd+merge.yaml", "spec: {priority: high}", "", "not a Pod"},
		{"etcd+merge.yaml", "metadata: {labels: {a: yes}}", "", "cannot unmarshal bool"},
		{"etcd+merge.yaml", "spec: {hostnetwork: true}", "", "hostnetwork"},
		{"etcd.yaml", "a: [", "", "not YAML"},
		{"etcd.yaml", "a: 1\na: 2", "", "is given twice"},
		{"etcd.yaml", "a: \xff", "", "not UTF-8"},
		{"etcd.yaml", "a: &a [*a]", "", "nested"},
	} {
		files := patchFiles(t)
		got, notes, errs := ApplyPatches(files, []Patch{{tc.name, []byte(tc.data)}, {"etcd+nonsense.yaml", []byte("a: b")}})
		if !reflect.DeepEqual(got, files) {
			t.Errorf("%s %q: files change in spite of an error", tc.name, tc.data)
		}
		if tc.note != "" {
			if len(notes) != 1 || !strings.Contains(notes[0], tc.note) || len(errs) != 1 {
				t.Errorf("%s %q: %v %v", tc.name, tc.data, notes, errs)
			}
			continue
		}
		var pe *PatchError
		if len(errs) != 2 || !errors.As(errs[0], &pe) || pe.Hint() == "" || !strings.Contains(pe.Error(), tc.problem) ||
			!strings.Contains(pe.Error(), tc.name) {
			t.Errorf("%s %q: %v", tc.name, tc.data, errs)
		}
	}
}

// A patch for a pod that there is not is a note.
func TestPatchWithoutTarget(t *testing.T) {
	t.Parallel()
	c := testConfig("")
	c.Etcd.External = &config.ExternalEtcd{Endpoints: []string{"http://e:1"}}
	files, err := Render(c, Host{})
	if err != nil {
		t.Fatal(err)
	}
	_, notes, errs := ApplyPatches(files, []Patch{{"etcd.yaml", []byte("a: b")}})
	if len(notes) != 1 || !strings.Contains(notes[0], "no static pod etcd") || len(errs) > 0 {
		t.Error(notes, errs)
	}
}

// The examples of RFC 6902, appendix A, and what goes beyond them: numbers are compared as they are
// written, and -1 is a list's last item, as in kubeadm, whose library this is.
func TestJSONPatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ document, patch, want string }{
		{`{"foo":"bar"}`, `[{"op":"add","path":"/baz","value":"qux"}]`, `{"baz":"qux","foo":"bar"}`},
		{`{"foo":["bar","baz"]}`, `[{"op":"add","path":"/foo/1","value":"qux"}]`, `{"foo":["bar","qux","baz"]}`},
		{`{"baz":"qux","foo":"bar"}`, `[{"op":"remove","path":"/baz"}]`, `{"foo":"bar"}`},
		{`{"foo":["bar","qux","baz"]}`, `[{"op":"remove","path":"/foo/1"}]`, `{"foo":["bar","baz"]}`},
		{`{"baz":"qux","foo":"bar"}`, `[{"op":"replace","path":"/baz","value":"boo"}]`, `{"baz":"boo","foo":"bar"}`},
		{`{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}`, `[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]`,
			`{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}`},
		{`{"foo":["all","grass","cows","eat"]}`, `[{"op":"move","from":"/foo/1","path":"/foo/3"}]`, `{"foo":["all","cows","eat","grass"]}`},
		{`{"baz":"qux","foo":["a",2,"c"]}`, `[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]`,
			`{"baz":"qux","foo":["a",2,"c"]}`},
		{`{"baz":"qux"}`, `[{"op":"test","path":"/baz","value":"bar"}]`, ""},
		{`{"foo":"bar"}`, `[{"op":"add","path":"/child","value":{"grandchild":{}}}]`, `{"child":{"grandchild":{}},"foo":"bar"}`},
		{`{"foo":"bar"}`, `[{"op":"add","path":"/baz/bat","value":"qux"}]`, ""},
		{`{"/":9,"~1":10}`, `[{"op":"test","path":"/~01","value":10}]`, `{"/":9,"~1":10}`},
		{`{"/":9,"~1":10}`, `[{"op":"test","path":"/~01","value":"10"}]`, ""},
		{`{"foo":["bar"]}`, `[{"op":"add","path":"/foo/-","value":["abc","def"]}]`, `{"foo":["bar",["abc","def"]]}`},
		{`{"a":1}`, `[{"op":"test","path":"/a","value":1.0}]`, ""},
		{`{"a":{"b":[1,{"c":2}]}}`, `[{"op":"test","path":"/a","value":{"b":[1,{"c":2}]}}]`, `{"a":{"b":[1,{"c":2}]}}`},
		{`{"a":1}`, `[{"op":"add","path":"/b","value":null}]`, `{"a":1,"b":null}`},
		{`{"a":[1]}`, `[{"op":"copy","from":"/a","path":"/b"},{"op":"add","path":"/b/-","value":2}]`, `{"a":[1],"b":[1,2]}`},
		{`{"a":1}`, `[{"op":"replace","path":"","value":{"b":2}}]`, ""},
		{`{"":1}`, `[{"op":"replace","path":"/","value":2}]`, `{"":2}`},
		{`{"a":12345678901234567890}`, `[]`, `{"a":12345678901234567890}`},
		{`{"a":[1]}`, `[{"op":"add","path":"/a/2","value":3}]`, ""},
		{`{"a":[1]}`, `[{"op":"remove","path":"/a/-"}]`, ""},
		{`{"a":[1]}`, `[{"op":"remove","path":"/a/1"}]`, ""},
		{`{"a":[1]}`, `[{"op":"remove","path":"/a/-1"}]`, `{"a":[]}`},
		{`{"a":1}`, `[{"op":"add","path":"/a/b","value":1}]`, ""},
		{`{"a":[]}`, `[` + strings.Repeat(`{"op":"copy","from":"","path":"/a/-"},`, 99) + `{"op":"remove","path":"/a"}]`, ""},
		{`{}`, `[` + strings.Repeat(`{"op":"add","path":"/a","value":1},`, 1000) + `{"op":"remove","path":"/a"}]`, ""},
	} {
		got, err := applyJSONPatch([]byte(tc.document), []byte(tc.patch))
		if (err == nil) != (tc.want != "") || err == nil && string(got) != tc.want {
			t.Errorf("%s with %.200s: %.200s %v", tc.document, tc.patch, got, err)
		}
	}
}

// The examples of RFC 7386, appendix A, as far as the patch is a mapping.
func TestMergePatch(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		got, err := applyMergePatch([]byte(tc[0]), []byte(tc[1]))
		if err != nil || string(got) != tc[2] {
			t.Errorf("%s with %s: %s %v", tc[0], tc[1], got, err)
		}
	}
}

// No patch does more than change manifests or be refused.
func FuzzApplyPatches(f *testing.F) {
	f.Add("etcd.yaml", []byte("spec:\n  containers:\n  - name: etcd\n    resources: {requests: {cpu: 1}}\n"))
	f.Add("etcd+merge.yaml", []byte(`{"spec": {"volumes": null}}`))
	f.Add("etcd+json.yaml", []byte("- {op: move, from: /spec/volumes/0, path: /spec/volumes/1}\n"))
	f.Add("etcd+json.yaml", []byte("- {op: copy, from: /spec, path: /status}\n"))
	f.Add("etcd.yaml", []byte("spec: {volumes: [{$patch: replace}, {name: x}], $setElementOrder/volumes: [{name: x}], $retainKeys: [a]}\n"))
	f.Add("etcd.yaml", []byte("spec: {$deleteFromPrimitiveList/tolerations: [1], containers: [{$patch: delete, name: etcd}]}\n"))
	files, before := patchFiles(f), patchFiles(f)
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		patched, _, errs := ApplyPatches(files, []Patch{{name, data}})
		for _, err := range errs {
			var pe *PatchError
			if !errors.As(err, &pe) || pe.Hint() == "" {
				t.Errorf("%#v", err)
			}
		}
		for i, p := range patched {
			if bytes.Equal(p.Data, files[i].Data) {
				continue
			}
			if again, err := decode(p.Data); err != nil || !reflect.DeepEqual(again, p.Pod) {
				t.Errorf("%s: %v", p.Data, err)
			}
		}
		if !reflect.DeepEqual(before, files) {
			t.Fatal("the input has changed")
		}
	})
}
