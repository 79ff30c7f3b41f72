package config

import (
	"fmt"
	"strings"
)

// FieldError is one value of the configuration that cannot be used. Parse and
// Validate return lists of them, each as a *FieldError.
type FieldError struct {
	Field   string // kubeadm's path, "networking.serviceSubnet"; of ours, which kubeadm lacks, "root"
	Flag    string // "--service-cidr", or "" when no flag sets the field
	Source  string // "kubeadm.yaml:12" when the value was read from there
	Value   string // "" when there is none, or when it is a secret
	Problem string // "it overlaps the pod subnet 10.0.0.0/8"
	Remedy  string // what to do, a sentence; "" when the problem says it
}

// Error is "[SOURCE: ]cannot use FIELD VALUE: PROBLEM". A value that stands in
// a file is named by its path alone, any other by its flag too.
func (e *FieldError) Error() string {
	var b strings.Builder
	if e.Source != "" {
		b.WriteString(e.Source + ": ")
	}
	b.WriteString("cannot use ")
	switch {
	case e.Flag == "" || e.Source != "":
		b.WriteString(e.Field)
	case e.Flag == "--"+e.Field:
		b.WriteString(e.Flag)
	default:
		fmt.Fprintf(&b, "%s (%s)", e.Flag, e.Field)
	}
	if e.Value != "" {
		fmt.Fprintf(&b, " %q", e.Value)
	}
	return b.String() + ": " + e.Problem
}

// Hint is the remedy, which cmd/cli prints as a second line.
func (e *FieldError) Hint() string { return e.Remedy }

// flagOf names the flag that sets a field, with kubeadm's flag names
// (cmd/kubeadm/app/cmd/options/constant.go), or "".
func flagOf(field string) string {
	field, _, _ = strings.Cut(field, "[")
	switch field {
	case "localAPIEndpoint.advertiseAddress":
		return "--apiserver-advertise-address"
	case "localAPIEndpoint.bindPort":
		return "--apiserver-bind-port"
	case "apiServer.certSANs":
		return "--apiserver-cert-extra-sans"
	case "certificatesDir":
		return "--cert-dir"
	case "controlPlaneEndpoint":
		return "--control-plane-endpoint"
	case "featureGates":
		return "--feature-gates"
	case "imageRepository":
		return "--image-repository"
	case "kubernetesVersion":
		return "--kubernetes-version"
	case "networking.podSubnet":
		return "--pod-network-cidr"
	case "networking.serviceSubnet":
		return "--service-cidr"
	case "networking.dnsDomain":
		return "--service-dns-domain"
	case "nodeRegistration.name":
		return "--node-name"
	case "nodeRegistration.ignorePreflightErrors":
		return "--ignore-preflight-errors"
	case "nodeRegistration.criSocket":
		return "--cri-socket"
	case "patches.directory":
		return "--patches"
	case "certificateKey":
		return "--certificate-key"
	case "skipPhases":
		return "--skip-phases"
	case "root":
		return "--root"
	case "portOffset":
		return "--port-offset"
	case "runtime":
		return "--runtime"
	case "componentsDir":
		return "--components-dir"
	}
	return ""
}
