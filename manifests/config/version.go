package config

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
)

// supportedEtcd returns the etcd image tag for a minor version of Kubernetes, from
// kubeadm v1.34.4, v1.35.4 and v1.36.3 (SupportedEtcdVersion in
// cmd/kubeadm/app/constants). We support no other minor.
func supportedEtcd(minor uint) (tag string, ok bool) {
	switch minor {
	case 34:
		return "3.6.5-0", true
	case 35:
		return "3.6.6-0", true
	case 36:
		return "3.6.8-0", true
	}
	return "", false
}

const supportedVersions = "1.34, 1.35 and 1.36"

// Released returns the release time of DefaultKubernetesVersion (KUBE_DATE of the Makefile). A clock that shows an earlier time is wrong.
func Released() time.Time { return time.Date(2026, time.July, 22, 18, 7, 38, 0, time.UTC) }

// normalVersion adds the v, and resolves kubeadm's labels that mean the embedded
// release. Other labels stay, and Validate refuses them.
func normalVersion(v string) string {
	switch v {
	case "stable", "stable-1", "stable-1.36":
		return DefaultKubernetesVersion
	}
	if v != "" && v[0] >= '0' && v[0] <= '9' {
		return "v" + v
	}
	return v
}

// Minor returns the minor version of Kubernetes: 36 for v1.36.3, or 0 if Validate would refuse the version.
func (c Config) Minor() int {
	v, err := version.ParseSemantic(c.KubernetesVersion)
	if err != nil || v.Major() != 1 {
		return 0
	}
	return int(v.Minor())
}

// versionProblem says why kubecrank cannot bring up a version, or returns "".
func versionProblem(s string) string {
	v, err := version.ParseSemantic(s)
	if err != nil || !strings.HasPrefix(s, "v") {
		return "it is not a version of the form v1.2.3"
	}
	if _, ok := supportedEtcd(v.Minor()); v.Major() != 1 || !ok {
		return fmt.Sprintf("only Kubernetes %s are supported", supportedVersions)
	}
	return ""
}

// Image returns the image of a component that is released with Kubernetes:
// "registry.k8s.io/kube-apiserver:v1.36.3".
func (c Config) Image(component string) string {
	return c.ImageRepository + "/" + component + ":" + tagOf(c.KubernetesVersion)
}

// EtcdImage returns the image of the local etcd.
func (c Config) EtcdImage() string {
	repository := c.Etcd.ImageRepository
	if repository == "" {
		repository = c.ImageRepository
	}
	return repository + "/etcd:" + c.EtcdImageTag()
}

// EtcdImageTag returns the tag of the local etcd's image: the configured one, or the one for the Kubernetes version.
func (c Config) EtcdImageTag() string {
	if c.Etcd.ImageTag != "" {
		return c.Etcd.ImageTag
	}
	tag, _ := supportedEtcd(uint(c.Minor()))
	return tag
}

// EtcdHasExperimentalFlags reports whether the local etcd needs the flags from
// before 3.6 (--experimental-initial-corrupt-check ...). Up to 1.35 kubeadm treats
// a tag that is not a version as an old etcd.
func (c Config) EtcdHasExperimentalFlags() bool {
	if c.Minor() >= 36 {
		return false
	}
	v, err := version.ParseSemantic(c.EtcdImageTag())
	return err != nil || !v.AtLeast(version.MustParseSemantic("3.6.0"))
}

// tagOf replaces the characters that an image tag cannot have, as kubeadm does (cmd/kubeadm/app/util/version.go).
func tagOf(v string) string { return regexp.MustCompile(`[^-\w.]`).ReplaceAllString(v, "_") }
