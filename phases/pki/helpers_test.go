package pki

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// now is the moment all tests live in.
var now = time.Date(2026, 11, 21, 1, 30, 0, 0, time.UTC)

// testConfig is what a defaulted and completed configuration says.
func testConfig() config.Config {
	return config.Config{
		KubernetesVersion: config.DefaultKubernetesVersion,
		ClusterName:       "kubernetes",
		Networking: config.Networking{
			ServiceSubnets: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")},
			DNSDomain:      "cluster.local",
		},
		Node:                  config.Node{Name: "node-1", AdvertiseAddress: netip.MustParseAddr("192.0.2.10"), BindPort: 6443},
		Runtime:               config.RuntimeProcess,
		KeyAlgorithm:          config.ECDSAP256,
		CertificateValidity:   8760 * time.Hour,
		CACertificateValidity: 87600 * time.Hour,
	}
}

func testParams() Params { return ParamsFor(testConfig(), now) }

func specNamed(t *testing.T, name string) Spec {
	t.Helper()
	for _, s := range Specs(testConfig()) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no spec named %q", name)
	return Spec{}
}

func mustCA(t *testing.T, name string) Pair {
	t.Helper()
	pair, err := NewCA(specNamed(t, name), testParams())
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func mustIssue(t *testing.T, spec Spec, ca Pair) Pair {
	t.Helper()
	pair, err := Issue(spec, ca, testParams())
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// wantReason checks kind and text of a *Reason, and that it has a hint without unfilled placeholders.
func wantReason(t *testing.T, err error, kind Kind, texts ...string) {
	t.Helper()
	var r *Reason
	if !errors.As(err, &r) {
		t.Fatalf("error is %v (%T), want a *Reason of kind %s", err, err, kind)
	}
	if r.Kind != kind {
		t.Errorf("kind is %s, want %s: %v", r.Kind, kind, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error is %q, want %q in it", err, text)
		}
	}
	if r.Hint() == "" {
		t.Errorf("error %q has no hint", err)
	}
	for _, placeholder := range []string{"{cert}", "{key}", "{ca}", "{missing}"} {
		if strings.Contains(r.Hint()+err.Error(), placeholder) {
			t.Errorf("error %q, hint %q: %s is left", err, r.Hint(), placeholder)
		}
	}
}
