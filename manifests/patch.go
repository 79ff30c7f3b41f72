package manifests

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
)

// Patch is a file of the patches directory (config.Config.Patches), with kubeadm's names:
//
//	target[suffix][+patchtype].extension    kube-apiserver0+merge.yaml, etcd.json
//
// target is a static pod, kubeletconfiguration or corednsdeployment; patchtype
// is strategic (the default), merge (RFC 7386) or json (RFC 6902); extension is
// yaml or json. A file may hold several documents. See kubeadm's util/patches.
type Patch struct {
	Name string // without its directory
	Data []byte
}

// PatchError says why a patch cannot be used.
type PatchError struct {
	Patch   string // name of the file, with ":LINE" of the document if it has several
	Problem string
	Remedy  string
}

func (e *PatchError) Error() string { return "cannot apply the patch " + e.Patch + ": " + e.Problem }

// Hint returns the remedy.
func (e *PatchError) Hint() string { return e.Remedy }

// ApplyPatches returns the manifests with the patches applied in the order
// given; kubeadm's order is by name. It also returns notes for the user about
// files that have no effect, and all errors at once, each a *PatchError. A manifest
// without a patch keeps its bytes. The result is decoded strictly, so a patch
// that adds an unknown field is an error.
func ApplyPatches(files []File, patches []Patch) (patched []File, notes []string, errs []error) {
	queues := make([][]Patch, len(files))
	for _, p := range patches {
		target, note, err := p.target()
		switch {
		case err != nil:
			errs = append(errs, err)
			continue
		case note != "":
			notes = append(notes, note)
			continue
		}
		i := slices.IndexFunc(files, func(f File) bool { return f.Name == target+".yaml" })
		if i < 0 {
			if slices.Contains(podNames(), target) {
				notes = append(notes, fmt.Sprintf("The patch %s has no effect: there is no static pod %s.", p.Name, target))
			}
			continue
		}
		queues[i] = append(queues[i], p)
	}
	patched = make([]File, len(files))
	problems := make([][]error, len(files))
	var all sync.WaitGroup
	for i, f := range files {
		all.Go(func() { patched[i], problems[i] = f.patch(queues[i]) })
	}
	all.Wait()
	if errs = append(slices.Concat(problems...), errs...); len(errs) > 0 {
		return files, notes, errs
	}
	return patched, notes, nil
}

// patch applies the patches of one manifest, in order. If one cannot be applied, the later ones are tried without it.
func (f File) patch(patches []Patch) (patched File, errs []error) {
	if len(patches) == 0 {
		return f, nil
	}
	for _, p := range patches {
		pod, problems := p.apply(f)
		if errs = append(errs, problems...); len(problems) == 0 {
			f.Pod, f.Patches = pod, append(slices.Clip(f.Patches), p.Name)
		}
	}
	data, err := encode(f.Pod) // once, because encoding takes most of the time
	if err != nil {
		errs = append(errs, noPod(patches[len(patches)-1].Name, err))
	}
	f.Data = data
	return f, errs
}

func podNames() []string { return []string{Etcd, APIServer, ControllerManager, Scheduler} }

// targets returns kubeadm's targets.
func targets() []string { return append(podNames(), "kubeletconfiguration", "corednsdeployment") }

const (
	strategicType = "strategic"
	mergeType     = "merge"
	jsonType      = "json"
)

// target returns the target in the file's name. If the file is ignored, the note says why.
func (p Patch) target() (target, note string, err error) {
	stem, extension, _ := strings.Cut(p.Name, ".")
	if ext := path.Ext(p.Name); stem == "" || ext != ".yaml" && ext != ".json" || extension == "" {
		return "", fmt.Sprintf("The file %s is not a patch: its name does not end in .yaml or .json.", p.Name), nil
	}
	for _, name := range targets() {
		if strings.HasPrefix(stem, name) {
			target = name
		}
	}
	if target == "" {
		known := strings.Join(targets(), ", ")
		return "", fmt.Sprintf("The file %s is not a patch: its name does not begin with one of %s.", p.Name, known), nil
	}
	if len(p.Data) == 0 {
		return "", fmt.Sprintf("The patch %s is empty.", p.Name), nil
	}
	if kind := p.kind(); kind != strategicType && kind != mergeType && kind != jsonType {
		return "", "", &PatchError{Patch: p.Name, Problem: fmt.Sprintf("there is no patch type %q", kind),
			Remedy: "Write strategic, merge or json behind the +, or leave both out for strategic."}
	}
	return target, "", nil
}

// kind returns the patch type in the file's name.
func (p Patch) kind() string {
	stem, _, _ := strings.Cut(p.Name, ".")
	if _, kind, ok := strings.Cut(stem, "+"); ok {
		return kind
	}
	return strategicType
}

// apply returns the patched pod. It does not change f.
func (p Patch) apply(f File) (*corev1.Pod, []error) {
	documents, problems := strictyaml.Split(p.Data)
	for _, d := range documents {
		problems = append(problems, d.Check()...)
	}
	var errs []error
	for _, problem := range problems {
		errs = append(errs, &PatchError{Patch: fmt.Sprintf("%s:%d", p.Name, problem.Line), Problem: problem.Text, Remedy: problem.Remedy})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	current, err := json.Marshal(f.Pod)
	if err != nil {
		return nil, []error{fmt.Errorf("cannot patch %s: %w", f.Name, err)}
	}
	for _, d := range documents {
		where := p.Name
		if len(documents) > 1 {
			where = fmt.Sprintf("%s:%d", p.Name, d.Line)
		}
		patch, err := yaml.YAMLToJSON(d.Text)
		if err != nil {
			return nil, []error{&PatchError{Patch: where, Problem: err.Error(), Remedy: "Correct the YAML."}}
		}
		if current, err = patchJSON(p.kind(), current, patch); err != nil {
			return nil, []error{&PatchError{Patch: where, Problem: err.Error(), Remedy: patchRemedy(p.kind())}}
		}
	}
	pod, err := decodeObject(current)
	if err != nil {
		return nil, []error{noPod(p.Name, err)}
	}
	return pod, nil
}

func noPod(patch string, err error) error {
	return &PatchError{Patch: patch, Problem: "the result is not a Pod: " + cause(err),
		Remedy: "A field of a Pod has another name, place or type; `kubectl explain pod.spec` lists them."}
}

var decoderPrefix = regexp.MustCompile(`^(error unmarshaling JSON: |while decoding JSON: |json: |yaml: )+`)

// cause returns the error's text without the prefixes of the decoders.
func cause(err error) string { return decoderPrefix.ReplaceAllString(err.Error(), "") }

func patchJSON(kind string, object, patch []byte) ([]byte, error) {
	switch kind {
	case jsonType:
		return applyJSONPatch(object, patch)
	case mergeType:
		return applyMergePatch(object, patch)
	}
	if len(patch) == 0 || patch[0] != '{' {
		return nil, fmt.Errorf("a strategic merge patch must be a mapping")
	}
	return applyStrategicPatch(object, patch)
}

// applyStrategicPatch recovers from the library's panic on a list with items of the wrong type.
func applyStrategicPatch(object, patch []byte) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("its lists do not have the form of a Pod's lists: %v", r)
		}
	}()
	return strategicpatch.StrategicMergePatch(object, patch, corev1.Pod{})
}

func patchRemedy(kind string) string {
	switch kind {
	case jsonType:
		return "Write a list of operations with op, path and value (RFC 6902); paths are those of the manifest without this patch."
	case mergeType:
		return "Write the part of the Pod that changes; null takes a field out, and a list replaces the whole list (RFC 7386)."
	}
	return "Write the part of the Pod that changes; items of lists are found by their name, such as the container's."
}
