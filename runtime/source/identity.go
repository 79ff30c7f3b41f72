package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Annotations of the kubelet (pkg/kubelet/types/pod_update.go).
const (
	configHashAnnotation   = "kubernetes.io/config.hash"
	configSourceAnnotation = "kubernetes.io/config.source"
	// ConfigSeenAnnotation is when the source first saw the pod, RFC 3339 with nanoseconds.
	ConfigSeenAnnotation = "kubernetes.io/config.seen"
)

// canonical is the content of a manifest in one form: keys sorted, no white space, status left out.
// UID and hash are made of it and not of Go structs, so that a new version of the API types (or of
// kubecrank) never restarts a pod, as the kubelet's do (kubernetes#84443, #87461).
func canonical(doc []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber() // large integers keep their digits
	var content map[string]any
	if err := dec.Decode(&content); err != nil {
		return nil, err
	}
	delete(content, "status")
	return json.Marshal(content)
}

// identify gives the pod its UID, name, namespace, node, annotations and tolerations, in the
// kubelet's order (pkg/kubelet/config/common.go applyDefaults).
func (d Decoder) identify(pod *corev1.Pod, content []byte, origin string) {
	if pod.UID == "" {
		pod.UID = d.uid(content, origin)
	}
	pod.Name += "-" + strings.ToLower(d.NodeName)
	if pod.Namespace == "" {
		pod.Namespace = metav1.NamespaceDefault
	}
	pod.Spec.NodeName = d.NodeName
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[configHashAnnotation] = string(pod.UID)
	pod.Annotations[configSourceAnnotation] = d.Source
	if d.Source == FromFile {
		addToleration(pod, corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute})
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
}

// uid is 32 hex digits of content, node and origin. The kubelet leaves the node out for URLs, so that
// all nodes get the same UID; we do not.
func (d Decoder) uid(content []byte, origin string) types.UID {
	h := sha256.New()
	h.Write(content)
	key := "file"
	if d.Source == FromHTTP {
		key = "url"
	}
	fmt.Fprintf(h, "\x00host:%s\x00%s:%s", d.NodeName, key, origin)
	return types.UID(hex.EncodeToString(h.Sum(nil))[:32])
}

// contentHash changes with any change of the manifest's meaning, and with the UID, which a file's
// new name changes too.
func contentHash(content []byte, uid types.UID) string {
	h := sha256.New()
	h.Write(content)
	fmt.Fprintf(h, "\x00uid:%s", uid)
	return hex.EncodeToString(h.Sum(nil))
}

// addToleration is AddOrUpdateTolerationInPod of pkg/apis/core/helper.
func addToleration(pod *corev1.Pod, want corev1.Toleration) {
	for i := range pod.Spec.Tolerations {
		if pod.Spec.Tolerations[i].MatchToleration(&want) {
			pod.Spec.Tolerations[i] = want
			return
		}
	}
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, want)
}
