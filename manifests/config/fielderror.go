package config

import (
	"fmt"
	"strings"
)

// FieldError says why a value of the configuration cannot be used. Parse and
// Validate return all of them at once, each as a *FieldError.
type FieldError struct {
	Field   string // kubeadm's path, "networking.serviceSubnet", or the name of a field of ours, "root"
	Flag    string // "--service-cidr", or "" if no flag sets the field
	Source  string // "kubeadm.yaml:12", or "" if the value is not from a file
	Value   string // "" if it is empty or a secret
	Problem string // "it overlaps the pod subnet 10.0.0.0/8"
	Remedy  string // a sentence that says what to do, or ""
}

// Error returns "[SOURCE: ]cannot use FIELD VALUE: PROBLEM". It also names the flag
// if the value is not from a file.
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

// Hint returns the remedy, which cmd/cli prints on a second line.
func (e *FieldError) Hint() string { return e.Remedy }

// flagOf returns the flag that sets a field, or "". The names are kubeadm's
// (cmd/kubeadm/app/cmd/options/constant.go).
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
	case "patches.directory":
		return "--patches"
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
