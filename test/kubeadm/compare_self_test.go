//go:build oracle

package kubeadm

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// Two runs of kubecrank with one configuration are the same to the comparison,
// whatever is random in them; each change of the configuration, and each change
// of a file, is seen at its place. So a comparison with kubeadm can fail.
func TestComparisonSees(t *testing.T) {
	k := kubeadm{version: "v1.36.3", minor: 36}
	made := func(cluster string) *side {
		s, err := kubecrank(testCase{cluster: cluster, real: true}.prepare(t, k, true))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if d := compare(made(""), made("")); len(d) > 0 {
		t.Errorf("the same configuration differs: %v", d)
	}
	const pki, pods = "/etc/kubernetes/pki/", "/etc/kubernetes/manifests/"
	for _, tc := range []struct {
		cluster string
		change  func(s *side)
		where   string // one place that differs
	}{
		{cluster: `apiServer: {certSANs: [a.example.com]}`, where: pki + "apiserver.crt DNSNames"},
		{cluster: `apiServer: {certSANs: [203.0.113.1]}`, where: pki + "apiserver.crt IPAddresses"},
		{cluster: `certificateValidityPeriod: 8759h`, where: "/etc/kubernetes/admin.conf certificate of kubernetes-admin.NotAfter"},
		{cluster: `encryptionAlgorithm: ECDSA-P384`, where: pki + "sa.pub Key"},
		{cluster: `controlPlaneEndpoint: x`, where: "/etc/kubernetes/admin.conf clusters[kubernetes].cluster.server"},
		{cluster: `clusterName: x`, where: "/etc/kubernetes/scheduler.conf current-context"},
		{cluster: `scheduler: {extraArgs: [{name: v, value: "1"}]}`, where: pods + "kube-scheduler.yaml spec.containers[kube-scheduler].command[--v]"},
		{cluster: `scheduler: {extraArgs: [{name: bind-address, value: 127.0.0.1}]}`,
			where: pods + "kube-scheduler.yaml spec.containers[kube-scheduler].command order"},
		{cluster: `scheduler: {extraEnvs: [{name: A}]}`, where: pods + "kube-scheduler.yaml spec.containers[kube-scheduler].env[A].name"},
		{cluster: `etcd: {external: {endpoints: ["http://e:1"]}}`, where: pods + "etcd.yaml"},
		{cluster: `etcd: {local: {dataDir: /data}}`, where: "/data"},
		{change: func(s *side) { delete(s.files, pki+"ca.key") }, where: pki + "ca.key"},
		{change: func(s *side) { s.set(pki+"ca.key", s.files[pki+"ca.key"].data, 0o640) }, where: pki + "ca.key mode"},
		{change: func(s *side) { s.set(pki+"ca.key", s.files[pki+"sa.key"].data, 0o600) }, where: pki + "ca.key Of"},
		{change: func(s *side) { s.set(pki+"ca.crt", s.files[pki+"etcd/ca.crt"].data, 0o644) }, where: pki + "apiserver.crt content"},
		{change: func(s *side) { s.set(pki+"sa.pub", append(slices.Clone(s.files[pki+"sa.pub"].data), '#'), 0o600) }, where: pki + "sa.pub content"},
		{change: func(s *side) { s.replace(pods+"etcd.yaml", "hostNetwork: true", "hostNetwork: false") }, where: pods + "etcd.yaml spec.hostNetwork"},
		{change: func(s *side) { s.replace(pods+"etcd.yaml", "hostNetwork", "HostNetwork") }, where: pods + "etcd.yaml content"},
		{change: func(s *side) { s.dirs["/etc/kubernetes/pki"] = 0o700 }, where: "/etc/kubernetes/pki"},
	} {
		changed := made(tc.cluster)
		if tc.change != nil {
			tc.change(changed)
		}
		found := compare(made(""), changed)
		if !slices.ContainsFunc(found, func(d difference) bool { return d.Where == tc.where }) {
			t.Errorf("%s: no difference is seen at %s, but %v", tc.cluster, tc.where, found)
		}
	}
}

func (s *side) set(path string, data []byte, mode fs.FileMode) {
	f := s.files[path]
	f.data, f.mode = data, mode
	s.files[path] = f
}

func (s *side) replace(path, old, text string) {
	s.set(path, []byte(strings.Replace(string(s.files[path].data), old, text, 1)), 0o600)
}
