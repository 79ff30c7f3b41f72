package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config/kubeadmapi"
	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
)

// Documents holds the documents of a configuration file as they are, without defaults.
//
//	file --Parse--> Documents --ApplyInit, ApplyJoin ...--> Config --Complete, Validate--> errors --Locate--> errors with lines
//	                    |
//	                    +--Migrate--> file
type Documents struct {
	Name       string // of the file, for errors
	Init       *kubeadmapi.InitConfiguration
	Cluster    *kubeadmapi.ClusterConfiguration
	Join       *kubeadmapi.JoinConfiguration
	Reset      *kubeadmapi.ResetConfiguration
	Upgrade    *kubeadmapi.UpgradeConfiguration
	Supervisor *SupervisorConfiguration
	// Kubelet and KubeProxy hold the texts of a KubeletConfiguration and a KubeProxyConfiguration, or nil.
	Kubelet, KubeProxy []byte
	// Warnings are for the user, one sentence each.
	Warnings []string

	found  []document // in the file's order
	broken bool       // Parse has found errors
}

// document is one document of the file.
type document struct {
	kind, apiVersion string
	line             int
	lines            map[string]int // of its fields
	text             []byte
}

// The kinds of documents that a file may hold, one of each.
const (
	kindInit       = "InitConfiguration"
	kindCluster    = "ClusterConfiguration"
	kindJoin       = "JoinConfiguration"
	kindReset      = "ResetConfiguration"
	kindUpgrade    = "UpgradeConfiguration"
	kindSupervisor = "SupervisorConfiguration"
	kindKubelet    = "KubeletConfiguration"
	kindKubeProxy  = "KubeProxyConfiguration"

	kubeletVersion   = "kubelet.config.k8s.io/v1beta1"
	kubeProxyVersion = "kubeproxy.config.k8s.io/v1alpha1"
	kubeadmGroup     = "kubeadm.k8s.io"
)

// Parse reads a configuration file: documents of kubeadm.k8s.io, a
// KubeletConfiguration, a KubeProxyConfiguration and our SupervisorConfiguration.
// It converts v1beta3 to v1beta4. It returns all errors of form at once, each a
// *FieldError with its line. The Apply methods and Config.Validate check the
// values later. The errors call the file name.
func Parse(name string, data []byte) (*Documents, []error) {
	d := &Documents{Name: name}
	documents, problems := strictyaml.Split(data)
	errs := d.errors("", problems)
	p := parser{documents: d}
	for _, doc := range documents {
		errs = append(errs, p.add(doc)...)
	}
	if len(documents) == 0 && len(errs) == 0 {
		errs = append(errs, d.err(1, "", "there is no document in it", remedyDefaults))
	}
	p.moveTimeout()
	d.broken = len(errs) > 0
	return d, errs
}

const remedyDefaults = "`kubecrank config defaults` prints a file to start from."

// parser fills Documents.
type parser struct {
	documents      *Documents
	controlTimeout *kubeadmapi.Duration // of a v1beta3 ClusterConfiguration
}

func (p *parser) add(doc strictyaml.Document) []error {
	d := p.documents
	found := document{kind: doc.Scalar("kind"), apiVersion: doc.Scalar("apiVersion"), line: doc.Line, text: doc.Text}
	target, problem, remedy := p.target(found)
	if problem != "" {
		return []error{d.err(doc.Line, "", problem, remedy)}
	}
	for _, other := range d.found {
		if other.kind == found.kind {
			return []error{d.err(doc.Line, "", fmt.Sprintf("there is a second %s, the first is in line %d", found.kind, other.line),
				"Keep one of them.")}
		}
	}
	var problems []strictyaml.Problem
	if target == nil {
		problems = doc.Check()
	} else {
		found.lines, problems = doc.Decode(target)
	}
	d.found = append(d.found, found)
	p.keep(found, target)
	return d.errors(found.kind, problems)
}

// target returns a pointer to the struct that a document is decoded into, or nil
// for a document that is passed on. A problem says why we cannot read the document.
func (p *parser) target(doc document) (target any, problem, remedy string) {
	group, version, _ := strings.Cut(doc.apiVersion, "/")
	switch {
	case doc.apiVersion == "" || doc.kind == "":
		return nil, "the document has no apiVersion or no kind", "Begin it with apiVersion: " + kubeadmapi.V1beta4 + " and a kind."
	case doc.apiVersion == kubeletVersion && doc.kind == kindKubelet, doc.apiVersion == kubeProxyVersion && doc.kind == kindKubeProxy:
		return nil, "", ""
	case doc.apiVersion == V1alpha1 && doc.kind == kindSupervisor:
		return &SupervisorConfiguration{}, "", ""
	}
	kinds := kubeadmKinds(doc.apiVersion)
	if target := kinds[doc.kind]; target != nil {
		return target, "", ""
	}
	problem = fmt.Sprintf("there is no kind %s in %s", doc.kind, doc.apiVersion)
	switch {
	case group == kubeadmGroup && kinds == nil && (strings.HasPrefix(version, "v1alpha") || version == "v1beta1" || version == "v1beta2"):
		return nil, doc.apiVersion + " is too old",
			"Rewrite it with `kubeadm config migrate` of kubeadm 1.15 (v1beta1) or 1.22 (v1beta2)."
	case group == kubeadmGroup && kinds == nil:
		return nil, "kubeadm has no " + doc.apiVersion, "Use " + kubeadmapi.V1beta4 + "."
	case kinds != nil:
		if near := strictyaml.Nearest(doc.kind, sortedKeys(kinds)); near != "" {
			return nil, problem, fmt.Sprintf("Did you mean %q?", near)
		}
		return nil, problem, "Use one of: " + strings.Join(sortedKeys(kinds), ", ") + "."
	}
	return nil, problem, "Use a kind of " + kubeadmapi.V1beta4 + " or " + V1alpha1 + ", KubeletConfiguration of " + kubeletVersion +
		" or KubeProxyConfiguration of " + kubeProxyVersion + "."
}

// kubeadmKinds returns the kinds of an API version, or nil if there is no such version.
func kubeadmKinds(apiVersion string) map[string]any {
	switch apiVersion {
	case kubeadmapi.V1beta4:
		return map[string]any{
			kindInit:    &kubeadmapi.InitConfiguration{},
			kindCluster: &kubeadmapi.ClusterConfiguration{},
			kindJoin:    &kubeadmapi.JoinConfiguration{},
			kindReset:   &kubeadmapi.ResetConfiguration{},
			kindUpgrade: &kubeadmapi.UpgradeConfiguration{},
		}
	case kubeadmapi.V1beta3:
		return map[string]any{
			kindInit:    &kubeadmapi.InitConfigurationV1beta3{},
			kindCluster: &kubeadmapi.ClusterConfigurationV1beta3{},
			kindJoin:    &kubeadmapi.JoinConfigurationV1beta3{},
		}
	}
	return nil
}

func (p *parser) keep(doc document, decoded any) {
	d := p.documents
	switch v := decoded.(type) {
	case nil:
		if doc.kind == kindKubelet {
			d.Kubelet = doc.text
		} else {
			d.KubeProxy = doc.text
		}
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s:%d: %s has no effect yet: kubecrank checks its form, and configures neither "+
			"a kubelet nor kube-proxy.", d.Name, doc.line, doc.kind))
	case *SupervisorConfiguration:
		d.Supervisor = v
	case *kubeadmapi.InitConfiguration:
		d.Init = v
	case *kubeadmapi.InitConfigurationV1beta3:
		d.Init = v.Convert()
	case *kubeadmapi.ClusterConfiguration:
		d.Cluster = v
	case *kubeadmapi.ClusterConfigurationV1beta3:
		d.Cluster, p.controlTimeout = v.Convert()
	case *kubeadmapi.JoinConfiguration:
		d.Join = v
	case *kubeadmapi.JoinConfigurationV1beta3:
		d.Join = v.Convert()
	case *kubeadmapi.ResetConfiguration:
		d.Reset = v
	case *kubeadmapi.UpgradeConfiguration:
		d.Upgrade = v
	}
	if doc.apiVersion == kubeadmapi.V1beta3 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s:%d: %s of %s is deprecated; `kubecrank config migrate` rewrites it.",
			d.Name, doc.line, doc.kind, kubeadmapi.V1beta3))
	}
}

// moveTimeout moves the timeout of a v1beta3 ClusterConfiguration to the InitConfiguration, where v1beta4 has it.
func (p *parser) moveTimeout() {
	d := p.documents
	if p.controlTimeout == nil {
		return
	}
	if d.Init == nil {
		d.Init = &kubeadmapi.InitConfiguration{TypeMeta: kubeadmapi.TypeMeta{APIVersion: kubeadmapi.V1beta4, Kind: kindInit}}
	}
	if d.Init.Timeouts == nil {
		d.Init.Timeouts = &kubeadmapi.Timeouts{}
	}
	if d.Init.Timeouts.ControlPlaneComponentHealthCheck == nil {
		d.Init.Timeouts.ControlPlaneComponentHealthCheck = p.controlTimeout
	}
}

func (d *Documents) err(line int, field, problem, remedy string) *FieldError {
	if field == "" {
		field = "the file"
	}
	return &FieldError{Field: field, Source: fmt.Sprintf("%s:%d", d.Name, line), Problem: problem, Remedy: remedy}
}

// errors turns a document's problems into errors. If another kind has the unknown field, the remedy names that kind.
func (d *Documents) errors(kind string, problems []strictyaml.Problem) []error {
	var errs []error
	for _, p := range problems {
		field := p.Path
		if field == "" && kind != "" {
			field = "the " + kind
		}
		err := d.err(p.Line, field, p.Text, p.Remedy)
		err.Value = p.Value
		if p.Unknown != "" {
			if remedy := elsewhere(kind, p.Path); remedy != "" {
				err.Remedy = remedy
			}
		}
		errs = append(errs, err)
	}
	return errs
}

// elsewhere says where a field of that path belongs, or returns "".
func elsewhere(kind, path string) string {
	switch path {
	case "apiServer.timeoutForControlPlane":
		return "v1beta4 has it in the InitConfiguration, as timeouts.controlPlaneComponentHealthCheck."
	case "discovery.timeout":
		return "v1beta4 has it as timeouts.discovery."
	}
	kinds := kubeadmKinds(kubeadmapi.V1beta4)
	kinds[kindSupervisor] = &SupervisorConfiguration{}
	for _, other := range []string{kindCluster, kindInit, kindSupervisor, kindReset, kindJoin} {
		if other != kind && slices.Contains(strictyaml.Fields(kinds[other]), path) {
			return "It belongs in the " + other + "."
		}
	}
	return ""
}

// Locate adds the line of the value to the errors of Validate, if the file has the
// value. The documents were applied for verb.
func (d *Documents) Locate(verb string, errs []error) []error {
	out := make([]error, len(errs))
	for i, err := range errs {
		out[i] = err
		var fe *FieldError
		if errors.As(err, &fe) && fe.Source == "" {
			if line := d.line(verb, fe); line > 0 {
				located := *fe
				located.Source = fmt.Sprintf("%s:%d", d.Name, line)
				out[i] = &located
			}
		}
	}
	return out
}

func (d *Documents) line(verb string, fe *FieldError) int {
	for _, doc := range d.found {
		if !slices.Contains(kindsOf(verb), doc.kind) {
			continue
		}
		if line := doc.lines[fe.Field]; line > 0 {
			return line
		}
		// v1beta3 has maps where v1beta4 has lists. A missing field has no line, but its parent has.
		parent := fe.Field
		if i := strings.LastIndexByte(parent, '['); i > 0 {
			parent = parent[:i]
		} else if i := strings.LastIndexByte(parent, '.'); i > 0 && fe.Value == "" {
			parent = parent[:i]
		}
		if line := doc.lines[parent]; line > 0 && parent != fe.Field {
			return line
		}
	}
	return 0
}

// kindsOf returns the kinds that count for a verb.
func kindsOf(verb string) []string {
	switch verb {
	case "join":
		return []string{kindJoin, kindSupervisor}
	case "reset":
		return []string{kindReset}
	case "upgrade":
		return []string{kindUpgrade, kindSupervisor}
	}
	return []string{kindInit, kindCluster, kindSupervisor}
}
