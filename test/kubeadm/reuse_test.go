//go:build oracle

package kubeadm

import (
	"bytes"
	"testing"

	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// reused are configurations whose certificates the other program takes over.
func reused() []testCase {
	return []testCase{
		{name: "default", runtime: "kubelet"},
		{name: "default algorithm", runtime: "kubelet", cluster: `encryptionAlgorithm: ""`},
		{name: "names", runtime: "kubelet", cluster: `{controlPlaneEndpoint: api.example.com, apiServer: {certSANs: ["*.example.org",
			203.0.113.7]}, etcd: {local: {serverCertSANs: [e.example.com]}}, certificatesDir: /srv/pki, clusterName: c}`},
		{name: "external etcd", runtime: "kubelet", cluster: `etcd: {external: {endpoints: ["http://e:1"]}}`},
	}
}

// What kubeadm has made is good enough for kubecrank, which makes none of it anew: a node can change over.
func TestKubecrankTakesOverKubeadms(t *testing.T) {
	for _, k := range kubeadms(t) {
		alone := isolated(t, k)
		for _, c := range reused() {
			t.Run(k.version+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				if reason := c.impossible(alone); reason != "" {
					t.Skip(reason)
				}
				p := c.prepare(t, k, alone)
				theirs, err := k.dryRun(t, p)
				if err != nil {
					t.Fatal(err)
				}
				p.host.files = theirs.files
				cfg, err := configOf(p)
				if err != nil {
					t.Fatal(err)
				}
				f := machine(p, theirs.started)
				made, err := phases.InitPhase("certs", cfg, f, phases.Payload{})
				kubeconfigs, err2 := phases.InitPhase("kubeconfig", cfg, f, phases.Payload{})
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				for _, ph := range append(made.Phases, kubeconfigs.Phases...) {
					for _, step := range ph.Steps {
						if w := step.Compare(f.Host()); w.State != plan.Unchanged {
							t.Errorf("%s: %s %s", step.Describe(), w.State, w.Detail)
						}
					}
				}
			})
		}
	}
}

// What kubecrank has made is good enough for kubeadm, which makes none of it anew: a node can change back.
func TestKubeadmTakesOverKubecranks(t *testing.T) {
	for _, k := range kubeadms(t) {
		alone := isolated(t, k)
		for _, c := range reused() {
			t.Run(k.version+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.real = true
				if reason := c.impossible(alone); reason != "" {
					t.Skip(reason)
				}
				p := c.prepare(t, k, alone)
				ours, err := kubecrank(p)
				if err != nil {
					t.Fatal(err)
				}
				for path := range ours.files {
					if ours.isManifest(path) {
						delete(ours.files, path)
					}
				}
				p.host.files = ours.files
				p.furnish(t)
				after, err := k.really(t, p)
				if err != nil {
					t.Fatal(err)
				}
				for path, f := range ours.files {
					if !bytes.Equal(after.files[path].data, f.data) {
						t.Errorf("kubeadm has replaced %s", path)
					}
				}
				for path := range after.files {
					if _, ok := ours.files[path]; !ok && !after.isManifest(path) {
						t.Errorf("kubeadm has made %s", path)
					}
				}
			})
		}
	}
}
