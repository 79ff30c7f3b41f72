package cli

import (
	"encoding/json"
	"time"

	"github.com/kubecrank/kubecrank/cmd/expiry"
	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/phases/evidence"
	"github.com/kubecrank/kubecrank/runtime"
)

// examined is a status with what is known of the causes why pods are not ready:
// the answer to `status`.
type examined struct {
	runtime.Status
	diagnoses    [][]containerDiagnosis // of each pod
	certificates []expiry.Certificate
}

// containerDiagnosis is why one container is not ready.
type containerDiagnosis struct {
	Container string `json:"container"`
	diagnose.Diagnosis
}

// examine looks into the containers that are not ready.
func (a *app) examine(st runtime.Status) examined {
	options := evidence.Options{Root: a.global.root, Names: a.flagNames()}
	x := examined{Status: st, diagnoses: make([][]containerDiagnosis, len(st.Pods)), certificates: a.certificates(time.Now())}
	for i, pod := range st.Pods {
		for _, c := range pod.Containers {
			if pod.Ready || c.Ready || c.LogPath == "" && pod.LastError == "" {
				continue
			}
			if d, known := evidence.Diagnose(st, pod, c, options); known {
				x.diagnoses[i] = append(x.diagnoses[i], containerDiagnosis{c.Name, d})
			}
		}
	}
	return x
}

// of returns what is known of one pod.
func (x examined) of(pod runtime.PodStatus) []containerDiagnosis {
	for i, p := range x.Pods {
		if p.Name == pod.Name && p.Namespace == pod.Namespace {
			return x.diagnoses[i]
		}
	}
	return nil
}

// MarshalJSON puts the diagnoses into the pods.
func (x examined) MarshalJSON() ([]byte, error) {
	type pod struct {
		runtime.PodStatus
		Diagnosis []containerDiagnosis `json:"diagnosis,omitempty"`
	}
	out := struct {
		Ready      bool                   `json:"ready"`
		Runtime    string                 `json:"runtime"`
		Supervisor runtime.SupervisorInfo `json:"supervisor"`
		Pods       []pod                  `json:"pods"`
		Problems   []runtime.Problem      `json:"problems,omitempty"`
		Certs      []expiry.Certificate   `json:"certificates,omitempty"`
	}{Ready: x.Ready, Runtime: x.Runtime, Supervisor: x.Supervisor, Problems: x.Problems, Certs: x.certificates, Pods: []pod{}}
	for i, p := range x.Pods {
		out.Pods = append(out.Pods, pod{PodStatus: p, Diagnosis: x.diagnoses[i]})
	}
	return json.Marshal(out)
}

// certificates are those below this root that this user may read.
func (a *app) certificates(now time.Time) []expiry.Certificate {
	return a.expiries.Get(now, func(now time.Time) []expiry.Certificate {
		looker := &app{stdio: a.stdio, global: a.global} // remember settles on the components for a run, and this is none
		known, err := looker.remember()
		if err != nil {
			return nil
		}
		return expiry.Read(known.cfg, a.rootFlag(), readRegular, now)
	})
}
