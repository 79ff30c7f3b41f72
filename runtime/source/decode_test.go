package source

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

var file = Decoder{NodeName: "node1", Source: FromFile}

// pod is a manifest with this YAML below spec, and one container if it has none.
func podWith(spec string) string {
	if !strings.Contains(spec, "containers:") || strings.HasPrefix(spec, "initContainers:") && !strings.Contains(spec, "\ncontainers:") {
		spec += "\ncontainers: [{name: c, image: i}]"
	}
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  " + strings.ReplaceAll(spec, "\n", "\n  ") + "\n"
}

func decode(t *testing.T, data string) *corev1.Pod {
	t.Helper()
	pod, err := file.Pod([]byte(data), "/m/p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return pod.Pod
}

// Statement 10: JSON and YAML, and the first document only.
func TestStatic_010_Formats(t *testing.T) {
	for name, data := range map[string]string{
		"YAML":             podWith(""),
		"JSON":             `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}`,
		"JSON, indented":   "\n \t{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}\n",
		"two documents":    podWith("") + "---\nkind: Deployment\napiVersion: apps/v1\n",
		"a leading ---":    "---\n" + podWith(""),
		"CRLF":             strings.ReplaceAll(podWith(""), "\n", "\r\n"),
		"a byte order":     "\ufeff" + podWith(""),
		"unknown fields":   podWith("nonsense: {a: [1, 2]}\nactiveDeadLineSeconds: 7"), // of the wrong case: not the field
		"duplicate keys":   podWith("hostNetwork: true\nhostNetwork: false"),
		"aliases":          "x: &c {name: c, image: i}\n" + podWith("containers: [*c]"),
		"generateName too": strings.Replace(podWith(""), "{name: p}", "{name: p, generateName: q}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			pod := decode(t, data)
			if pod.Name != "p-node1" || pod.Spec.Containers[0].Image != "i" || pod.Spec.HostNetwork || pod.Spec.ActiveDeadlineSeconds != nil {
				t.Errorf("%+v", pod)
			}
		})
	}
}

// Statements 11, 12, 13, 42, 43: what is refused, in the kubelet's words.
func TestStatic_011_012_013_042_043_Refused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	for name, test := range map[string]struct{ data, want string }{
		"empty":              {"", "couldn't parse as pod(Object 'Kind' is missing in 'null'), please check config file"},
		"a comment":          {"# nothing\n", "couldn't parse as pod(Object 'Kind' is missing in 'null'), please check config file"},
		"no YAML":            {"a: b: c", "couldn't parse as pod(yaml: mapping values are not allowed in this context), please check config file"},
		"no JSON":            {"{]", "couldn't parse as pod("},
		"a list":             {"- a\n- b\n", "couldn't parse as pod(couldn't get version/kind; json parse error: "},
		"binary":             {"\x00\x01\xff", "couldn't parse as pod("},
		"a Deployment":       {"apiVersion: apps/v1\nkind: Deployment\n", "couldn't parse as pod(invalid pod: it is a Deployment of apps/v1, and only a Pod of v1 can be a static pod), please check config file"},
		"a PodList":          {"apiVersion: v1\nkind: PodList\nitems: []\n", "couldn't parse as pod(invalid pod: it is a PodList of v1, "},
		"a List":             {"apiVersion: v1\nkind: List\nitems: []\n", "couldn't parse as pod(invalid pod: it is a List of v1, "},
		"another version":    {"apiVersion: v2\nkind: Pod\n", "couldn't parse as pod(invalid pod: it is a Pod of v2, "},
		"no version":         {"kind: Pod\n", "couldn't parse as pod(Object 'apiVersion' is missing in '{\"kind\":\"Pod\"}'), please check config file"},
		"a wrong type":       {podWith("hostNetwork: {}"), "couldn't parse as pod(json: cannot unmarshal object into Go struct field PodSpec.spec.hostNetwork of type bool), please check config file"},
		"no name":            {strings.Replace(podWith(""), "{name: p}", "{generateName: p}", 1), "invalid pod: name is needed for the pod"},
		"10 MiB":             {podWith("") + "#" + strings.Repeat("x", MaxManifest), "couldn't parse as pod(the read limit is reached), please check config file"},
		"a bomb":             {bomb, "couldn't parse as pod(yaml: document contains excessive aliasing), please check config file"},
		"ephemeral":          {podWith("ephemeralContainers: [{name: e, image: i}]"), "invalid pod: [spec.ephemeralContainers: Forbidden: cannot be set on create]"},
		"gates":              {podWith("schedulingGates: [{name: a.b/c}]"), "invalid pod: [spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared]"},
		"no containers":      {podWith("containers: []"), "invalid pod: [spec.containers: Required value]"},
		"several things":     {podWith("restartPolicy: Sometimes\ncontainers: [{name: C}]"), `invalid pod: [spec.containers[0].name: Invalid value: "C": a lowercase RFC 1123 label`},
		"a long name":        {strings.Replace(podWith(""), "{name: p}", "{name: "+strings.Repeat("p", 250)+"}", 1), "invalid pod: [metadata.name: Invalid value: "},
		"a UID with a slash": {strings.Replace(podWith(""), "{name: p}", "{name: p, uid: ../../etc}", 1), "invalid pod: [metadata.uid: Invalid value: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := file.Pod([]byte(test.data), "/m/p.yaml")
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("the error is\n  %v\nwant\n  %s", err, test.want)
			}
		})
	}
}

// An error says in which line it is.
func TestErrorLines(t *testing.T) {
	for name, test := range map[string]struct {
		data string
		line int
	}{
		"YAML":            {"a: 1\nb: [\nc: 2\n", 3},
		"kind":            {"apiVersion: v1\n\nkind: Deployment\n", 3},
		"type":            {podWith("\nhostNetwork: {}"), 6},
		"nested type":     {podWith("containers:\n- name: c\n  image: i\n  ports:\n  - containerPort: http\n"), 9},
		"type in a list":  {podWith("containers:\n- name: c\n  image: i\n- name: d\n  image: n\n"), 9},
		"missing value":   {podWith("containers:\n- name: c\n  image: i\n- name: d\n"), 8},
		"bad value":       {podWith("containers:\n- name: c\n  image: i\n  imagePullPolicy: Maybe\n"), 8},
		"JSON":            {"{\"apiVersion\":\"v1\",\n\"kind\":\"Pod\",\n\"metadata\":{\"name\":\"p\"},\n\"spec\":{\n\"restartPolicy\":\"X\",\n\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}", 5},
		"key with a dot":  {strings.Replace(podWith(""), "{name: p}", "\n  name: p\n  annotations:\n    x/y/z: a", 1), 5},
		"in the defaults": {podWith("containers: [{name: c, image: i}]\nvolumes:\n- name: v\n  hostPath:\n    type: Directory"), 8},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := file.Pod([]byte(test.data), "/m/p.yaml")
			var decode *DecodeError
			if !errors.As(err, &decode) || decode.Line != test.line {
				t.Errorf("line %d, want %d: %v", decode.Line, test.line, err)
			}
		})
	}
}

// Statements 18, 19, 20, 22: name, namespace, node, UID, tolerations.
func TestStatic_018_019_020_022_Identity(t *testing.T) {
	pod, err := Decoder{NodeName: "node1.example.org", Source: FromFile}.Pod([]byte(strings.Replace(podWith("nodeName: elsewhere"), "{name: p}", `{name: p, uid: "12345"}`, 1)), "/m/p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if pod.Name != "p-node1.example.org" || pod.Namespace != "default" || pod.Spec.NodeName != "node1.example.org" || pod.UID != "12345" ||
		pod.Annotations["kubernetes.io/config.hash"] != "12345" || pod.Annotations["kubernetes.io/config.source"] != "file" || pod.Status.Phase != corev1.PodPending {
		t.Errorf("%+v", pod.Pod)
	}
	if got := pod.Spec.Tolerations; len(got) != 1 || got[0].Operator != corev1.TolerationOpExists || got[0].Effect != corev1.TaintEffectNoExecute {
		t.Errorf("tolerations %+v", got)
	}
	if got := decode(t, podWith("tolerations: [{operator: Exists, effect: NoExecute, tolerationSeconds: 5}]")).Spec.Tolerations; len(got) != 1 || got[0].TolerationSeconds != nil {
		t.Errorf("tolerations %+v", got)
	}
	fromURL, err := Decoder{NodeName: "node1", Source: FromHTTP}.Pod([]byte(podWith("")), "http://x/p")
	if err != nil || len(fromURL.Spec.Tolerations) != 0 || fromURL.Annotations["kubernetes.io/config.source"] != "http" {
		t.Errorf("%+v, %v", fromURL.Pod, err)
	}
	if got := decode(t, strings.Replace(podWith(""), "{name: p}", "{name: p, namespace: kube-system}", 1)).Namespace; got != "kube-system" {
		t.Errorf("namespace %s", got)
	}
}

// Statement 18: the suffix is the node's name in lower case, the node's name itself stays as it is
// (pkg/kubelet/config/common_test.go: TestStaticPodNameGenerate).
func TestStatic_018_NameSuffix(t *testing.T) {
	var pod corev1.Pod
	pod.Name = "p"
	Decoder{NodeName: "NODE1", Source: FromFile}.identify(&pod, nil, "/x")
	if pod.Name != "p-node1" || pod.Spec.NodeName != "NODE1" {
		t.Errorf("%s on %s", pod.Name, pod.Spec.NodeName)
	}
}

// Statement 21: a UID of 32 hex digits, of content, node and path, and of nothing else. The values are
// fixed: another one would restart every static pod at an upgrade of kubecrank.
func TestStatic_021_UID(t *testing.T) {
	uid := func(d Decoder, data, path string) string {
		pod, err := d.Pod([]byte(data), path)
		if err != nil {
			t.Fatal(err)
		}
		return string(pod.UID) + " " + pod.Hash
	}
	base := uid(file, podWith(""), "/m/p.yaml")
	if fields := strings.Fields(base); len(fields) != 2 || len(fields[0]) != 32 || len(fields[1]) != 64 {
		t.Errorf("%q is no UID and hash", base)
	}
	golden(t, "uid.txt", []byte(base+"\n"))
	for name, other := range map[string]string{
		"node":    uid(Decoder{NodeName: "node2", Source: FromFile}, podWith(""), "/m/p.yaml"),
		"path":    uid(file, podWith(""), "/m/q.yaml"),
		"content": uid(file, podWith("hostNetwork: true"), "/m/p.yaml"),
		"unknown": uid(file, podWith("fieldOfTheFuture: true"), "/m/p.yaml"),
		"label":   uid(file, strings.Replace(podWith(""), "{name: p}", "{name: p, labels: {a: b}}", 1), "/m/p.yaml"),
		"URL":     uid(Decoder{NodeName: "node1", Source: FromHTTP}, podWith(""), "/m/p.yaml"),
	} {
		if a, b := strings.Fields(base), strings.Fields(other); a[0] == b[0] || a[1] == b[1] {
			t.Errorf("%s makes no difference: %s, %s", name, base, other)
		}
	}
	for name, same := range map[string]string{
		"JSON":     uid(file, `{"spec":{"containers":[{"image":"i","name":"c"}]},"metadata":{"name":"p"},"kind":"Pod","apiVersion":"v1"}`, "/m/p.yaml"),
		"comments": uid(file, "# hello\n"+podWith(""), "/m/p.yaml"),
		"status":   uid(file, podWith("")+"status: {phase: Running}\n", "/m/p.yaml"),
	} {
		if same != base {
			t.Errorf("%s makes a difference", name)
		}
	}
	explicit := strings.Replace(podWith(""), "{name: p}", "{name: p, uid: u}", 1)
	if a, b := uid(file, explicit, "/m/p.yaml"), uid(file, explicit, "/m/q.yaml"); a != b {
		t.Errorf("with a UID of its own a pod depends on its path: %s, %s", a, b)
	}
}

// Statements 24, 69: defaults, as the API server fills them in.
func TestStatic_024_069_Defaults(t *testing.T) {
	data, err := os.ReadFile("testdata/defaults.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pod := decode(t, string(data))
	out, err := yaml.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "defaults.golden.yaml", out)
	for image, want := range map[string]corev1.PullPolicy{
		"i": corev1.PullAlways, "i:latest": corev1.PullAlways, "i:v1": corev1.PullIfNotPresent, "r.example:5000/i": corev1.PullAlways,
		"r.example:5000/i:1": corev1.PullIfNotPresent, "i@sha256:" + strings.Repeat("0", 64): corev1.PullIfNotPresent,
		"i:latest@sha256:" + strings.Repeat("0", 64): corev1.PullAlways,
	} {
		if got := pullPolicy(image); got != want {
			t.Errorf("%s is pulled %s, want %s", image, got, want)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs from what is there now:\n%s", path, got)
	}
}

// Statement 40: each reference, in the kubelet's words; a cluster's objects cannot be had without a cluster.
func TestStatic_040_References(t *testing.T) {
	for spec, want := range map[string]string{
		"serviceAccountName: default":                                          "serviceaccounts",
		"serviceAccount: default":                                              "serviceaccounts",
		"imagePullSecrets: [{name: s}]":                                        "secrets",
		"containers: [{name: c, image: i, envFrom: [{secretRef: {name: s}}]}]": "secrets",
		"containers: [{name: c, image: i, env: [{name: E, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]":            "secrets",
		"initContainers: [{name: d, image: i, envFrom: [{secretRef: {name: s}}]}]":                                     "secrets",
		"containers: [{name: c, image: i, envFrom: [{configMapRef: {name: s}}]}]":                                      "configmaps",
		"containers: [{name: c, image: i, env: [{name: E, valueFrom: {configMapKeyRef: {name: s, key: k}}}]}]":         "configmaps",
		"resourceClaims: [{name: r, resourceClaimName: x}]":                                                            "resourceclaims",
		"volumes: [{name: v, secret: {secretName: s}}]":                                                                "secrets",
		"volumes: [{name: v, configMap: {name: s}}]":                                                                   "configmaps",
		"volumes: [{name: v, csi: {driver: d}}]":                                                                       "csidrivers (via CSI volumes)",
		"volumes: [{name: v, glusterfs: {endpoints: e, path: p}}]":                                                     "endpoints (via glusterFS volumes)",
		"volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]":                                                  "persistentvolumeclaims",
		"volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce]}}}}]":               "persistentvolumeclaims (via ephemeral volumes)",
		"volumes: [{name: v, azureFile: {secretName: s, shareName: x}}]":                                               "secrets",
		"volumes: [{name: v, projected: {sources: [{configMap: {name: s}}]}}]":                                         "configmaps",
		"volumes: [{name: v, projected: {sources: [{secret: {name: s}}]}}]":                                            "secrets",
		"volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]":                               "serviceaccounts (via projected volumes)",
		"volumes: [{name: v, projected: {sources: [{clusterTrustBundle: {name: a, path: t}}]}}]":                       "clustertrustbundles",
		"volumes: [{name: v, projected: {sources: [{podCertificate: {signerName: a/b, keyType: ED25519}}]}}]":          "podcertificates",
		"volumes: [{name: v, cephfs: {monitors: [m], secretRef: {name: s}}}]":                                          "secrets",
		"volumes: [{name: v, iscsi: {targetPortal: t, iqn: iqn.2001-04.com.example:x, lun: 0, secretRef: {name: s}}}]": "secrets",
	} {
		_, err := file.Pod([]byte(podWith(spec)), "/m/p.yaml")
		if want = "static pods may not reference " + want; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
	}
	// The texts that validation or the earlier checks hide behind.
	for want, v := range map[string]corev1.VolumeSource{
		"configmaps (via configmap volumes)": {ConfigMap: &corev1.ConfigMapVolumeSource{}},
		"secrets (via secret volumes)":       {Secret: &corev1.SecretVolumeSource{}},
		"secrets (via azureFile volumes)":    {AzureFile: &corev1.AzureFileVolumeSource{}},
		"configmaps (via projected volumes)": {Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{}}}}},
		"secrets (via projected volumes)":    {Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{}}}}},
	} {
		if got, err := apiReference(&corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: v}}}); err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	if _, err := apiReference(&corev1.PodSpec{Volumes: []corev1.Volume{{Name: "x"}}}); err == nil || err.Error() != `unknown volume type for volume  "x"` {
		t.Errorf("%v", err)
	}
}

// Statement 41: what a node has by itself may be used.
func TestStatic_041_Allowed(t *testing.T) {
	for _, spec := range []string{
		"volumes: [{name: v, hostPath: {path: /x, type: DirectoryOrCreate}}]",
		"volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 1Gi}}]",
		"volumes: [{name: v}]",
		"volumes: [{name: v, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]",
		"volumes: [{name: v, projected: {sources: [{downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]}}]",
		"volumes: [{name: v, image: {reference: 'example.org/i:1'}}]",
		"volumes: [{name: v, nfs: {server: s, path: /x}}]",
		"containers: [{name: c, image: i, env: [{name: E, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}]",
		"containers: [{name: c, image: i, env: [{name: E, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}]",
	} {
		if _, err := file.Pod([]byte(podWith(spec)), "/m/p.yaml"); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// The manifests of kubeadm, which is what most users have, are taken as they are.
func TestKubeadmManifests(t *testing.T) {
	files, err := filepath.Glob("testdata/kubeadm/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pod := decode(t, string(data))
		if pod.Namespace != "kube-system" || pod.Spec.Containers[0].StartupProbe == nil {
			t.Errorf("%s: %+v", path, pod)
		}
	}
}

// Whatever the bytes, decoding ends with a pod or an error, and a pod survives being written and read.
func FuzzPod(f *testing.F) {
	f.Add([]byte(podWith("")))
	f.Add([]byte("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("- \x00"))
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no manifests: %v", err)
	}
	for _, path := range append(files, "testdata/defaults.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		pod, err := file.Pod(data, "/m/p.yaml")
		if err != nil {
			if _, err := file.PodList(data, "http://x"); err == nil && !strings.Contains(string(data), "PodList") {
				t.Error("a list of no kind")
			}
			return
		}
		again, err := file.Pod(data, "/m/p.yaml")
		if err != nil || again.Hash != pod.Hash || again.UID != pod.UID {
			t.Errorf("decoded twice: %v", err)
		}
		if len(pod.Hash) != 64 || pod.UID == "" || pod.Name == "" || pod.Namespace == "" {
			t.Errorf("incomplete: %+v", pod)
		}
		if _, err := json.Marshal(pod); err != nil {
			t.Errorf("cannot be written: %v", err)
		}
	})
}
