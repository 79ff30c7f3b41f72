package phases

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// kubeadmParts are the sub-phases of `kubeadm init phase --help` of 1.36, as far as there is the phase here.
func kubeadmParts() map[string][]string {
	return map[string][]string{
		"certs": {"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", "etcd-ca", "etcd-server",
			"etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client", "sa"},
		"kubeconfig":    {"admin", "super-admin", "kubelet", "controller-manager", "scheduler"},
		"etcd":          {"local"},
		"control-plane": {"apiserver", "controller-manager", "scheduler"},
	}
}

// The parts have kubeadm's names, in its order, and together they are their phase: no step is lost or done twice.
func TestPartsAreTheirPhase(t *testing.T) {
	f := bareMachine()
	cfg := bareConfig(f, func(c *config.Config) { c.Runtime = config.RuntimeKubelet })
	for _, ph := range initPhases() {
		var got []string
		list := map[string]int{}
		for _, p := range ph.parts {
			got = append(got, p.name)
			only, ok := find(initPhases(), ph.name+"/"+p.name)
			if !ok {
				t.Fatalf("there is no %s/%s", ph.name, p.name)
			}
			for _, step := range stepsOf(t, only, cfg) {
				if _, dir := step.(steps.MakeDir); !dir {
					list[step.Describe()]++
				}
			}
		}
		if want := kubeadmParts()[ph.name]; !slices.Equal(got, want) {
			t.Errorf("phase %s has parts %v, want %v", ph.name, got, want)
		}
		if len(ph.parts) == 0 {
			continue
		}
		for _, step := range stepsOf(t, ph, cfg) {
			want := 1
			if volume, ok := step.(steps.MakeVolume); ok { // it may be several pods'
				want = len(volume.For)
			}
			if _, dir := step.(steps.MakeDir); !dir && list[step.Describe()] != want {
				t.Errorf("phase %s: %q is in %d parts", ph.name, step.Describe(), list[step.Describe()])
			}
		}
	}
}

func stepsOf(t *testing.T, ph phase, cfg config.Config) []plan.Step {
	t.Helper()
	f := bareMachine()
	files, _, err := render(cfg, f)
	if err != nil {
		t.Fatal(err)
	}
	list, err := ph.steps(&State{Config: cfg, Paths: cfg.Paths(), Facts: f, Manifests: files})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A part makes the directories that it puts something into, and no others.
func TestPartMakesItsDirectories(t *testing.T) {
	cfg := bareConfig(bareMachine(), nil)
	for name, want := range map[string][]string{
		"certs/ca":         {"make directory /etc/kubernetes/pki (0755)"},
		"certs/etcd-ca":    {"make directory /etc/kubernetes/pki (0755)", "make directory /etc/kubernetes/pki/etcd (0755)"},
		"kubeconfig/admin": {"make directory /etc/kubernetes (0755)"},
		"etcd/local":       {"make directory /var/lib/etcd (0700)", "make directory /etc/kubernetes/manifests (0700)"},
	} {
		ph, _ := find(initPhases(), name)
		var got []string
		for _, step := range stepsOf(t, ph, cfg) {
			if d, dir := step.(steps.MakeDir); dir {
				got = append(got, d.Describe())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Parts are skipped alone, also all of them; what kubeadm calls "all" is no part.
func TestSkipParts(t *testing.T) {
	f := bareMachine()
	cfg := bareConfig(f, func(c *config.Config) {
		c.SkipPhases = []string{"certs/sa", "etcd/local", "control-plane/all", "kubeconfig/kubelet"}
	})
	p, err := Init(cfg, f, testPayload)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, ph := range p.Phases {
		for _, step := range ph.Steps {
			all = append(all, step.Describe())
		}
	}
	text := strings.Join(all, "\n")
	for _, gone := range []string{"service account key", "make directory /var/lib/etcd", "write /etc/kubernetes/manifests/etcd.yaml"} {
		if strings.Contains(text, gone) {
			t.Errorf("there is %s", gone)
		}
	}
	for _, stays := range []string{"pki/ca.crt", "manifests/kube-scheduler.yaml", "admin.conf"} {
		if !strings.Contains(text, stays) {
			t.Errorf("there is no %s", stays)
		}
	}
}

// A part that is named without its phase is found.
func TestPartWithoutItsPhase(t *testing.T) {
	f := bareMachine()
	_, err := InitPhase("apiserver", bareConfig(f, nil), f, testPayload)
	var unknown *UnknownPhaseError
	if !errors.As(err, &unknown) || unknown.Hint() != "a part is named with its phase: certs/apiserver or control-plane/apiserver" {
		t.Errorf("%v: %s", err, unknown.Hint())
	}
}

// What is to be signed needs its authority, on the machine or in the plan.
func TestMissingCA(t *testing.T) {
	f := bareMachine()
	cfg := bareConfig(f, nil)
	var missing *MissingCAError
	for name, hint := range map[string]string{"certs/apiserver": "certs ca", "certs/etcd-peer": "certs etcd-ca", "kubeconfig/admin": "certs ca",
		"kubeconfig": "certs ca", "certs/front-proxy-client": "certs front-proxy-ca"} {
		if _, err := InitPhase(name, cfg, f, testPayload); !errors.As(err, &missing) || !strings.HasSuffix(missing.Hint(), hint) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	for _, name := range []string{"certs", "certs/ca", "certs/sa", "control-plane/apiserver", "etcd/local"} {
		if _, err := InitPhase(name, cfg, f, testPayload); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg.SkipPhases = []string{"certs/ca"}
	if _, err := Init(cfg, f, testPayload); !errors.As(err, &missing) {
		t.Errorf("without its authority: %v", err)
	}
}
