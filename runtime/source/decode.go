package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"

	"github.com/kubecrank/kubecrank/runtime"
)

// MaxManifest is the size from which on a manifest is refused (pkg/kubelet/config/common.go maxConfigLength).
const MaxManifest = 10 << 20

// Decoder turns the bytes of manifests into pods of one node.
type Decoder struct {
	NodeName string // as the kubelet has it: the pod's name gets it in lower case
	Source   string // FromFile or FromHTTP
}

// DecodeError says why a manifest is refused, and where in it.
type DecodeError struct {
	Line int // 0 when unknown
	Err  error
}

func (e *DecodeError) Error() string { return e.Err.Error() }
func (e *DecodeError) Unwrap() error { return e.Err }

// notAPod is a manifest that could not be read as a pod at all: a list is tried next by the URL source.
type notAPod struct{ err error }

func (e *notAPod) Error() string {
	return fmt.Sprintf("couldn't parse as pod(%v), please check config file", e.err)
}
func (e *notAPod) Unwrap() error { return e.err }

// Pod decodes the first document of a JSON or YAML manifest, which must be a v1 Pod, fills in
// defaults, name, namespace and UID, and validates it. Origin is the file's path or the URL.
// Errors are *DecodeError, with the kubelet's texts.
func (d Decoder) Pod(data []byte, origin string) (*runtime.Pod, error) {
	doc, err := toJSON(data)
	if err != nil {
		return nil, &DecodeError{Line: yamlErrorLine(err), Err: &notAPod{err}}
	}
	if err := checkKind(doc, "Pod"); err != nil {
		return nil, &DecodeError{Line: lineOf(data, "kind"), Err: &notAPod{err}}
	}
	pod, err := d.fromJSON(doc, origin)
	if err != nil {
		return nil, &DecodeError{Line: errorLine(data, "", err), Err: err}
	}
	return pod, nil
}

// PodList decodes a v1 PodList; one bad item refuses the whole list (statement 36).
func (d Decoder) PodList(data []byte, origin string) ([]*runtime.Pod, error) {
	doc, err := toJSON(data)
	if err != nil {
		return nil, &DecodeError{Line: yamlErrorLine(err), Err: err}
	}
	if err := checkKind(doc, "PodList"); err != nil {
		return nil, &DecodeError{Line: lineOf(data, "kind"), Err: err}
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(doc, &list); err != nil {
		return nil, &DecodeError{Err: err}
	}
	var pods []*runtime.Pod
	for i, item := range list.Items {
		pod, err := d.fromJSON(item, origin)
		if err != nil {
			return nil, &DecodeError{Line: errorLine(data, fmt.Sprintf("items[%d].", i), err), Err: err}
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// fromJSON makes the runtime.Pod of one pod document.
func (d Decoder) fromJSON(doc []byte, origin string) (*runtime.Pod, error) {
	pod := &corev1.Pod{}
	// The API machinery's decoder: field names are case-sensitive, unknown ones are ignored. (The kubelet does not tell of them.)
	ignored, err := kjson.UnmarshalStrict(doc, pod)
	if err != nil {
		return nil, &notAPod{err}
	}
	if pod.Name == "" {
		return nil, errors.New("invalid pod: name is needed for the pod")
	}
	content, err := canonical(doc)
	if err != nil {
		return nil, &notAPod{err}
	}
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	setDefaults(pod)
	d.identify(pod, content, origin)
	if errs := validatePod(pod); len(errs) > 0 {
		return nil, &invalidError{errs}
	}
	if err := refuseReferences(pod); err != nil {
		return nil, err
	}
	made := &runtime.Pod{Pod: pod, Source: d.Source, Origin: origin, Hash: contentHash(content, pod.UID)}
	for _, err := range ignored {
		made.Ignored = append(made.Ignored, err.Error())
	}
	return made, nil
}

// ignoredFields is the warning about fields that have no effect, nil if there are none.
func ignoredFields(pod *runtime.Pod) *runtime.Problem {
	if len(pod.Ignored) == 0 {
		return nil
	}
	return &runtime.Problem{Source: pod.Origin, Warning: true,
		Message: fmt.Sprintf("pod %s runs without what it does not understand: %s", pod.Name, strings.Join(pod.Ignored, ", "))}
}

// invalidError carries all that is wrong with a pod.
type invalidError struct{ errs field.ErrorList }

func (e *invalidError) Error() string { return fmt.Sprintf("invalid pod: %v", e.errs) }

// toJSON returns the first document as JSON. What starts with "{" is JSON already, as for the kubelet.
func toJSON(data []byte) ([]byte, error) {
	if len(data) >= MaxManifest {
		return nil, errors.New("the read limit is reached") // k8s.io/utils/io ErrLimitReached
	}
	return yaml.ToJSON(data)
}

// checkKind wants apiVersion v1 and this kind; the texts are those of apimachinery's decoder.
func checkKind(doc []byte, kind string) error {
	var meta metav1.TypeMeta
	if err := json.Unmarshal(doc, &meta); err != nil {
		return fmt.Errorf("couldn't get version/kind; json parse error: %w", err)
	}
	switch {
	case meta.Kind == "":
		return fmt.Errorf("Object 'Kind' is missing in '%s'", shorten(doc)) //nolint:staticcheck // the kubelet's text
	case meta.APIVersion == "":
		return fmt.Errorf("Object 'apiVersion' is missing in '%s'", shorten(doc)) //nolint:staticcheck // the kubelet's text
	case meta.APIVersion != "v1" || meta.Kind != kind:
		return fmt.Errorf("invalid pod: it is a %s of %s, and only a Pod of v1 can be a static pod", meta.Kind, meta.APIVersion)
	}
	return nil
}

// shorten keeps what is quoted in an error readable.
func shorten(doc []byte) string {
	const most = 200
	s := strings.ToValidUTF8(string(doc), "?")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// readAtMost reads everything, but fails at MaxManifest bytes.
func readAtMost(r io.Reader) ([]byte, error) {
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(r, MaxManifest))
	if err != nil {
		return nil, err
	}
	if n >= MaxManifest {
		return nil, errors.New("the read limit is reached: a manifest must be smaller than 10 MiB")
	}
	return buf.Bytes(), nil
}
