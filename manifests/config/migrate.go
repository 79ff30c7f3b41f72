package config

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config/kubeadmapi"
)

// Migrate rewrites a configuration file so that all of its kubeadm documents
// are v1beta4. A document that is v1beta4 already keeps its text and comments. A
// converted one loses its comments. Migrate adds no defaults.
func Migrate(name string, data []byte) ([]byte, []error) {
	d, errs := Parse(name, data)
	if len(errs) > 0 {
		return nil, errs
	}
	var out [][]byte
	for _, doc := range d.found {
		text := bytes.TrimSpace(documentStart.ReplaceAll(doc.text, nil))
		if doc.apiVersion == kubeadmapi.V1beta3 || doc.kind == kindInit && d.movedTimeout(doc) {
			written, err := d.write(doc.kind)
			if err != nil {
				return nil, []error{err}
			}
			text = written
		}
		out = append(out, text)
	}
	if d.Init != nil && !d.has(kindInit) { // it exists only for a timeout
		written, err := d.write(kindInit)
		if err != nil {
			return nil, []error{err}
		}
		out = append(out, written)
	}
	return append(bytes.Join(out, []byte("\n---\n")), '\n'), nil
}

var documentStart = regexp.MustCompile(`^---[ \t]*\r?\n?`)

func (d *Documents) has(kind string) bool {
	return slices.ContainsFunc(d.found, func(doc document) bool { return doc.kind == kind })
}

// movedTimeout reports whether the InitConfiguration got its timeout from a ClusterConfiguration.
func (d *Documents) movedTimeout(doc document) bool {
	const field = "timeouts.controlPlaneComponentHealthCheck"
	return doc.lines[field] == 0 && d.Init.Timeouts != nil && d.Init.Timeouts.ControlPlaneComponentHealthCheck != nil
}

// write returns a converted document, with apiVersion and kind first.
func (d *Documents) write(kind string) ([]byte, error) {
	text, err := yaml.Marshal(d.withoutType(kind))
	if err != nil {
		return nil, fmt.Errorf("cannot write the %s: %w", kind, err)
	}
	head := fmt.Sprintf("apiVersion: %s\nkind: %s\n", kubeadmapi.V1beta4, kind)
	if bytes.Equal(text, []byte("{}\n")) {
		text = nil
	}
	return bytes.TrimSpace(append([]byte(head), text...)), nil
}

// withoutType removes apiVersion and kind, which Marshal would sort among the fields.
func (d *Documents) withoutType(kind string) any {
	switch kind {
	case kindInit:
		c := *d.Init
		c.TypeMeta = kubeadmapi.TypeMeta{}
		return c
	case kindCluster:
		c := *d.Cluster
		c.TypeMeta = kubeadmapi.TypeMeta{}
		return c
	default: // v1beta3 has no other kinds
		c := *d.Join
		c.TypeMeta = kubeadmapi.TypeMeta{}
		return c
	}
}

//go:embed defaults/*.yaml
var defaultsFS embed.FS

// Verbs returns the verbs that have a configuration file.
func Verbs() []string { return []string{"init", "join", "reset", "upgrade"} }

// Defaults returns a commented configuration file for a verb, with the default of every field that has one.
func Defaults(verb string) ([]byte, error) {
	if !slices.Contains(Verbs(), verb) {
		return nil, errors.New("cannot print defaults: only these verbs have some: " + strings.Join(Verbs(), ", "))
	}
	return defaultsFS.ReadFile("defaults/" + verb + ".yaml")
}

// GoesWithFile reports whether a flag, without its dashes, may be given together
// with --config. The rules are kubeadm's (ValidateMixedArguments in
// cmd/kubeadm/app/apis/kubeadm/validation): a field of the file has no flag beside
// it. node-name overrides the file, ignore-preflight-errors adds to it, and
// skip-phases replaces its list. Our own flags that no document has are allowed.
func GoesWithFile(flag string) bool {
	if strings.HasPrefix(flag, "skip-") {
		return true
	}
	return slices.Contains([]string{
		"config", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name", "output", "print-join-command",
		"print-manifest", "rootfs", "upload-certs", "v", "yes",
		"root", "runtime", "port-offset", "components-dir", "force", "settings", "quiet", "verbose",
	}, flag)
}
