package source

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestKubelet decodes what the real kubelet's code has decoded (testdata/kubelet/README.md): the same is
// accepted and refused, and what is accepted gets the same defaults.
func TestKubelet(t *testing.T) {
	// What is meant to differ: a part of the kubelet's error, or of the manifest that it accepts.
	deliberate := map[string]string{
		"metadata.finalizers":          "nobody finalizes a static pod",
		"os: {name: windows}":          "this is Linux; the kubelet refuses it at admission",
		"hostProcess":                  "this is Linux",
		"windowsOptions":               "this is Linux",
		"topologySpreadConstraints":    "nobody schedules a static pod",
		"spec.affinity":                "nobody schedules a static pod",
		"disallowed by cluster policy": "a kubelet allows privileged containers; the program that wrote this down did not",
		"iscsi.iqn":                    "whoever mounts it says so",
	}
	f, err := os.Open("testdata/kubelet/v1.36.3.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines, accepted, sameText, used := 0, 0, 0, map[string]bool{}
	scanner := bufio.NewScanner(zr)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var theirs struct {
			Manifest, Error string
			Pod             *corev1.Pod
		}
		if err := json.Unmarshal(scanner.Bytes(), &theirs); err != nil {
			t.Fatal(err)
		}
		lines++
		pod, err := file.Pod([]byte(theirs.Manifest), "/m/p.yaml")
		switch {
		case (err == nil) != (theirs.Error == ""):
			known := false
			for part := range deliberate {
				if strings.Contains(theirs.Error, part) || strings.Contains(theirs.Manifest, part) {
					known, used[part] = true, true
				}
			}
			if !known {
				t.Errorf("%s\nthe kubelet says %q, and we say %v", theirs.Manifest, theirs.Error, err)
			}
		case err == nil:
			accepted++
			ours := pod.Pod
			ours.TypeMeta = theirs.Pod.TypeMeta
			ours.UID, theirs.Pod.UID = "", ""
			for _, p := range []*corev1.Pod{ours, theirs.Pod} {
				delete(p.Annotations, configHashAnnotation)
				delete(p.Annotations, configSourceAnnotation)
			}
			a, b := asJSON(t, ours), asJSON(t, theirs.Pod)
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s\nthe kubelet makes of it\n%s\nand we\n%s", theirs.Manifest, b, a)
			}
		case err.Error() == theirs.Error:
			sameText++
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	for part, why := range deliberate {
		if !used[part] {
			t.Errorf("no difference any more: %s (%s)", part, why)
		}
	}
	t.Logf("%d manifests: %d accepted with the same defaults, %d refused in the same words", lines, accepted, sameText)
	if lines < 500 || sameText < 250 {
		t.Errorf("only %d manifests, %d refused in the same words", lines, sameText)
	}
}

func asJSON(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	data, err := json.MarshalIndent(pod, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
