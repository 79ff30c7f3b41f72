package phases

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/pathname"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// PodChecker says what the runtime and the reader of manifests will have against a manifest, before it is written.
type PodChecker interface {
	// Check returns why the manifest is refused everywhere, and, if it is not, why it is refused on this machine and for
	// this user. It changes nothing.
	Check(origin string, manifest []byte) (everywhere, here error)
}

// ManifestError is a manifest that no supervisor would take (exit code 2). The configuration or a patch makes it so.
type ManifestError struct {
	File    string   // "kube-apiserver.yaml"
	Patches []string // the names of those that were applied
	Err     error
}

func (e *ManifestError) Error() string {
	what := e.File
	if len(e.Patches) > 0 {
		what += " (patched by " + strings.Join(e.Patches, " and ") + ")"
	}
	return fmt.Sprintf("cannot use the manifest %s: %v", what, e.Err)
}

func (e *ManifestError) Unwrap() error { return e.Err }

// Hint is where the field comes from.
func (e *ManifestError) Hint() string {
	if len(e.Patches) > 0 {
		return "correct the patch: 'kubecrank init --dry-run -o yaml' without --patches shows what it changes"
	}
	return "correct the configuration that the field comes from (extraArgs, extraEnvs, extraVolumes)"
}

// RefusedManifests returns a *ManifestError for each manifest that is refused on every machine.
func RefusedManifests(files []manifests.File, pods PodChecker) []error {
	var errs []error
	for _, f := range files {
		if everywhere, _ := pods.Check(f.Name, f.Data); everywhere != nil {
			errs = append(errs, &ManifestError{File: f.Name, Patches: f.Patches, Err: everywhere})
		}
	}
	return errs
}

// runnable asks whether this machine can run the pods as the manifests say. Where root is needed and lacking, IsPrivilegedUser has said it.
func runnable(s *State) []plan.Check {
	if s.Payload.Pods == nil || s.Config.Root == "" && s.Facts.UID != 0 {
		return nil
	}
	var checks []plan.Check
	for _, f := range s.Manifests {
		name := "Runnable-" + f.Pod.Name
		_, here := s.Payload.Pods.Check(f.Name, f.Data)
		if here == nil {
			checks = append(checks, ok(name, "")...)
			continue
		}
		remedy := "change what asks for it: the configuration or a patch"
		if h := interface{ Hint() string }(nil); errors.As(here, &h) {
			remedy = h.Hint()
		}
		checks = append(checks, failed(name, here.Error(), remedy)...)
	}
	return checks
}

// volumesUsable compares the host paths of volumes with their types, as the runtime does before it starts a pod.
func volumesUsable(s *State) []plan.Check {
	var checks []plan.Check
	for _, v := range hostPaths(s.Manifests) {
		seen := s.Facts.Look(v.path)
		problem, absent := "", seen.Kind == resource.Absent
		switch v.kind {
		case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
			if seen.Kind == resource.Regular || absent && v.kind == corev1.HostPathDirectory {
				problem = "a directory"
			}
		case corev1.HostPathFile, corev1.HostPathFileOrCreate:
			if seen.Kind == resource.Directory || absent && v.kind == corev1.HostPathFile {
				problem = "a file"
			}
		case corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev:
			if absent || seen.Kind == resource.Directory || seen.Kind == resource.Regular {
				problem = "a " + string(v.kind)
			}
		default:
		}
		if problem == "" || absent && s.ownPath(v.path) {
			continue
		}
		checks = append(checks, failed(s.label("Volume", v.path), fmt.Sprintf("volume %q of %s wants %s at %s: there is %s",
			v.name, strings.Join(v.pods, ", "), problem, v.path, describe(seen.Kind)),
			"put it there, or correct pathType of extraVolumes or the patch")...)
	}
	return checks
}

func describe(kind resource.SeenKind) string {
	if kind == resource.Absent {
		return "nothing"
	}
	return "a " + string(kind)
}

// volume is a path that containers mount as a hostPath.
type volume struct {
	name, path string
	kind       corev1.HostPathType
	pods       []string
}

// hostPaths are the volumes of the pods that a container mounts, each path and type once.
func hostPaths(files []manifests.File) []volume {
	var all []volume
	for _, f := range files {
		for _, v := range manifests.HostPaths(f) {
			kind := corev1.HostPathUnset
			if v.HostPath.Type != nil {
				kind = *v.HostPath.Type
			}
			path := filepath.Clean(v.HostPath.Path)
			at := slices.IndexFunc(all, func(other volume) bool { return other.path == path && other.kind == kind })
			switch {
			case at < 0:
				all = append(all, volume{name: v.Name, path: path, kind: kind, pods: []string{f.Pod.Name}})
			case !slices.Contains(all[at].pods, f.Pod.Name):
				all[at].pods = append(all[at].pods, f.Pod.Name)
			}
		}
	}
	return all
}

// ownPath says whether a path is one that other steps make, or that lies in a directory which reset removes whole.
func (s *State) ownPath(path string) bool {
	for _, dir := range []string{s.Paths.Kubernetes, s.Paths.PKI, s.Paths.EtcdData, s.Paths.State, s.Paths.Run, s.Paths.PodLogs} {
		if pathname.Below(dir, path) {
			return true
		}
	}
	return false
}

// volumes makes what the pods' volumes want to be there, so that reset knows whose it is. The runtime would make it otherwise.
func (s *State) volumes(wanted func(manifests.File) bool) []plan.Step {
	var files []manifests.File
	for _, f := range s.Manifests {
		if wanted(f) {
			files = append(files, f)
		}
	}
	var list []plan.Step
	made := map[string]bool{}
	for _, v := range hostPaths(files) {
		file := v.kind == corev1.HostPathFileOrCreate
		if !file && v.kind != corev1.HostPathUnset && v.kind != corev1.HostPathDirectoryOrCreate {
			continue
		}
		_, ours := s.Facts.History.At(v.path)
		if made[v.path] || s.ownPath(v.path) || !ours && s.Facts.Look(v.path).Kind != resource.Absent {
			continue
		}
		made[v.path] = true
		list = append(list, steps.MakeVolume{Path: v.path, File: file, For: v.pods})
	}
	return list
}
