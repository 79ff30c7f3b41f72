package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config/kubeadmapi"
	"github.com/kubecrank/kubecrank/redact"
)

// Settled is the part of a Config that decides what init puts on a machine. The
// journal keeps it, and later verbs start from it:
//
//	Config --Settled--> journal --Apply--> Config of a later verb
//	                       |
//	                       +--Documents--> config show; also a file for init --config
//
// It never holds a secret: see redact. It lacks what only one run needs, such as
// phases to skip, checks to ignore and bootstrap tokens.
type Settled struct {
	PortOffset    int                             `json:"portOffset,omitempty"`
	Runtime       string                          `json:"runtime,omitempty"`
	ComponentsDir string                          `json:"componentsDir,omitempty"`
	Init          kubeadmapi.InitConfiguration    `json:"init"`
	Cluster       kubeadmapi.ClusterConfiguration `json:"cluster"`
	Supervisor    *SupervisorConfiguration        `json:"supervisor,omitempty"`
}

// Redacted replaces a value that may be a secret.
const Redacted = "(secret)"

// Settled returns the part of a completed Config that the journal keeps.
func (c Config) Settled() Settled {
	d := func(span time.Duration) *kubeadmapi.Duration { return &kubeadmapi.Duration{Duration: span} }
	s := Settled{
		PortOffset: c.PortOffset, Runtime: c.Runtime, ComponentsDir: c.ComponentsDir,
		Init: kubeadmapi.InitConfiguration{
			TypeMeta: kubeadmapi.TypeMeta{APIVersion: kubeadmapi.V1beta4, Kind: kindInit},
			NodeRegistration: kubeadmapi.NodeRegistrationOptions{
				Name: c.Node.Name, CRISocket: c.Node.CRISocket, Taints: c.Node.Taints,
				KubeletExtraArgs: documentArgs(c.Node.KubeletExtraArgs),
				ImagePullPolicy:  c.Node.ImagePullPolicy, ImagePullSerial: &c.Node.ImagePullSerial,
			},
			LocalAPIEndpoint: kubeadmapi.APIEndpoint{
				AdvertiseAddress: documentAddr(c.Node.AdvertiseAddress), BindPort: int32(c.Node.BindPort),
			},
			Timeouts: &kubeadmapi.Timeouts{
				ControlPlaneComponentHealthCheck: d(c.Timeouts.ControlPlaneComponentHealthCheck),
				KubeletHealthCheck:               d(c.Timeouts.KubeletHealthCheck), KubernetesAPICall: d(c.Timeouts.KubernetesAPICall),
				EtcdAPICall: d(c.Timeouts.EtcdAPICall), TLSBootstrap: d(c.Timeouts.TLSBootstrap),
				Discovery: d(c.Timeouts.Discovery), UpgradeManifests: d(c.Timeouts.UpgradeManifests),
			},
		},
		Cluster: c.clusterDocument(),
	}
	if c.Patches != "" {
		s.Init.Patches = &kubeadmapi.Patches{Directory: c.Patches}
	}
	if !reflect.DeepEqual(c.Supervisor, Default("").Supervisor) {
		document := c.Supervisor.document()
		s.Supervisor = &document
	}
	s.redact()
	return s
}

// clusterDocument returns the ClusterConfiguration with c's settings.
func (c Config) clusterDocument() kubeadmapi.ClusterConfiguration {
	out := kubeadmapi.ClusterConfiguration{
		TypeMeta: kubeadmapi.TypeMeta{APIVersion: kubeadmapi.V1beta4, Kind: kindCluster},
		Networking: kubeadmapi.Networking{
			ServiceSubnet: documentSubnets(c.Networking.ServiceSubnets), PodSubnet: documentSubnets(c.Networking.PodSubnets),
			DNSDomain: c.Networking.DNSDomain,
		},
		KubernetesVersion: c.KubernetesVersion, ControlPlaneEndpoint: c.ControlPlaneEndpoint,
		APIServer: kubeadmapi.APIServer{
			ControlPlaneComponent: documentComponent(c.APIServer.Component), CertSANs: c.APIServer.CertSANs,
		},
		ControllerManager: documentComponent(c.ControllerManager), Scheduler: documentComponent(c.Scheduler),
		DNS: kubeadmapi.DNS{ImageMeta: kubeadmapi.ImageMeta{ImageRepository: c.DNS.ImageRepository, ImageTag: c.DNS.ImageTag},
			Disabled: c.DNS.Disabled},
		Proxy:           kubeadmapi.Proxy{Disabled: c.Proxy.Disabled},
		CertificatesDir: c.CertificatesDir, ImageRepository: c.ImageRepository, FeatureGates: maps.Clone(c.FeatureGates),
		ClusterName: c.ClusterName, EncryptionAlgorithm: string(c.KeyAlgorithm),
		CertificateValidityPeriod:   &kubeadmapi.Duration{Duration: c.CertificateValidity},
		CACertificateValidityPeriod: &kubeadmapi.Duration{Duration: c.CACertificateValidity},
	}
	if e := c.Etcd.External; e != nil {
		out.Etcd.External = &kubeadmapi.ExternalEtcd{Endpoints: slices.Clone(e.Endpoints), HTTPEndpoints: slices.Clone(e.HTTPEndpoints),
			CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile}
		return out
	}
	out.Etcd.Local = &kubeadmapi.LocalEtcd{
		ImageMeta: kubeadmapi.ImageMeta{ImageRepository: c.Etcd.ImageRepository, ImageTag: c.Etcd.ImageTag},
		DataDir:   c.Etcd.DataDir, ExtraArgs: documentArgs(c.Etcd.ExtraArgs), ExtraEnvs: documentEnvs(c.Etcd.ExtraEnvs),
		ServerCertSANs: c.Etcd.ServerCertSANs, PeerCertSANs: c.Etcd.PeerCertSANs,
	}
	return out
}

func documentComponent(c Component) kubeadmapi.ControlPlaneComponent {
	out := kubeadmapi.ControlPlaneComponent{ExtraArgs: documentArgs(c.ExtraArgs), ExtraEnvs: documentEnvs(c.ExtraEnvs)}
	for _, v := range c.ExtraVolumes {
		out.ExtraVolumes = append(out.ExtraVolumes, kubeadmapi.HostPathMount(v))
	}
	return out
}

func documentArgs(in []Arg) (out []kubeadmapi.Arg) {
	for _, a := range in {
		out = append(out, kubeadmapi.Arg(a))
	}
	return out
}

func documentEnvs(in []Env) (out []kubeadmapi.EnvVar) {
	for _, e := range in {
		env := kubeadmapi.EnvVar{}
		env.Name, env.Value, env.ValueFrom = e.Name, e.Value, e.ValueFrom
		out = append(out, env)
	}
	return out
}

func documentAddr(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

func documentSubnets(in []netip.Prefix) string {
	texts := make([]string, len(in))
	for i, p := range in {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// Apply puts s into c, a Default of the same root. A redacted value stays redacted:
// see RedactedFields.
func (s Settled) Apply(c Config) (Config, error) {
	d := &Documents{Name: "the journal", Init: &s.Init, Cluster: &s.Cluster, Supervisor: s.Supervisor}
	c.PortOffset, c.ComponentsDir = s.PortOffset, s.ComponentsDir
	set(&c.Runtime, s.Runtime)
	c, errs := d.ApplyInit(c)
	if len(errs) > 0 {
		return c, errs[0]
	}
	return c, nil
}

// Documents returns a configuration file for init with the settings of s. It lacks
// those that no document has: the port offset, the runtime, the components' directory.
func (s Settled) Documents() ([]byte, error) {
	var out []byte
	documents := []any{s.Init, s.Cluster}
	if s.Supervisor != nil {
		documents = append(documents, s.Supervisor)
	}
	for i, document := range documents {
		text, err := yaml.Marshal(document)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, "---\n"...)
		}
		out = append(out, text...)
	}
	return out, nil
}

// redact removes values that may be secrets: those of environment variables and
// headers, and the user and the query of a URL.
func (s *Settled) redact() {
	components := []*kubeadmapi.ControlPlaneComponent{&s.Cluster.APIServer.ControlPlaneComponent, &s.Cluster.ControllerManager,
		&s.Cluster.Scheduler}
	for _, c := range components {
		redactEnvs(c.ExtraEnvs)
		redactArgs(c.ExtraArgs)
	}
	if l := s.Cluster.Etcd.Local; l != nil {
		redactEnvs(l.ExtraEnvs)
		redactArgs(l.ExtraArgs)
	}
	if e := s.Cluster.Etcd.External; e != nil {
		for _, list := range [][]string{e.Endpoints, e.HTTPEndpoints} {
			for i := range list {
				list[i] = redactURL(list[i])
			}
		}
	}
	redactArgs(s.Init.NodeRegistration.KubeletExtraArgs)
	if p := s.Supervisor; p != nil {
		p.StaticPodURL = redactURL(p.StaticPodURL)
		p.StaticPodURLHeader = maps.Clone(p.StaticPodURLHeader)
		for name := range p.StaticPodURLHeader {
			p.StaticPodURLHeader[name] = []string{Redacted}
		}
	}
}

func redactEnvs(envs []kubeadmapi.EnvVar) {
	for i := range envs {
		if envs[i].Value != "" {
			envs[i].Value = Redacted
		}
	}
}

func redactArgs(args []kubeadmapi.Arg) {
	for i := range args {
		if redact.Secret(args[i].Name, args[i].Value) {
			args[i].Value = Redacted
		}
		args[i].Value = redactURL(args[i].Value)
	}
}

var (
	urlUser  = regexp.MustCompile(`://[^/@\s]+@`)
	urlQuery = regexp.MustCompile(`(://[^?\s]*\?)[^\s#,]+`)
)

func redactURL(text string) string {
	text = urlUser.ReplaceAllString(text, "://"+Redacted+"@")
	return urlQuery.ReplaceAllString(text, "${1}"+Redacted)
}

// RedactedFields returns the fields that were redacted. It leaves out the
// supervisor's, which has its settings in a file of its own.
func (s Settled) RedactedFields() []string {
	s.Supervisor = nil
	var fields []string
	for field, value := range s.leaves() {
		if strings.Contains(value, Redacted) {
			fields = append(fields, strings.TrimSuffix(field, ".value"))
		}
	}
	slices.Sort(fields)
	return fields
}

// SupervisorRedacted reports whether values of the supervisor were redacted.
func (s Settled) SupervisorRedacted() bool {
	text, err := json.Marshal(s.Supervisor)
	return err == nil && strings.Contains(string(text), Redacted)
}

// Difference is a field that has different values in two configurations.
type Difference struct {
	Field string // kubeadm's path: "networking.serviceSubnet"
	Flag  string // "--service-cidr", or ""
	Was   string // "" if it has no value
	Is    string
}

// String returns the field with both values.
func (d Difference) String() string {
	name, none := d.Field, func(value string) string {
		if value == "" {
			return "nothing"
		}
		return value
	}
	if d.Flag != "" {
		name = d.Flag
		if d.Flag != "--"+d.Field {
			name += " (" + d.Field + ")"
		}
	}
	return fmt.Sprintf("%s was %s, and is now %s", name, none(d.Was), none(d.Is))
}

// Differences returns the fields that differ in is and decide what is on the machine,
// sorted. Other fields may change: key algorithm and lifetime apply to the next
// certificate, timeouts and the components' directory to the next run.
func (s Settled) Differences(is Settled) []Difference {
	was, now := s.leaves(), is.leaves()
	fields := maps.Clone(was)
	maps.Copy(fields, now)
	var all []Difference
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if was[field] != now[field] && !mayChange(field) {
			all = append(all, Difference{Field: field, Flag: flagOf(field), Was: was[field], Is: now[field]})
		}
	}
	return all
}

// Equal reports whether both have the same values.
func (s Settled) Equal(other Settled) bool { return maps.Equal(s.leaves(), other.leaves()) }

func mayChange(field string) bool {
	switch field {
	case "componentsDir", "encryptionAlgorithm", "certificateValidityPeriod", "caCertificateValidityPeriod", "patches.directory":
		return true
	case "timeouts.controlPlaneComponentHealthCheck": // the startup probes contain it
		return false
	}
	return strings.HasPrefix(field, "timeouts.")
}

// leaves returns the values by kubeadm's field path.
func (s Settled) leaves() map[string]string {
	out := map[string]string{}
	for name, part := range map[string]any{"portOffset": s.PortOffset, "runtime": s.Runtime, "componentsDir": s.ComponentsDir,
		"": s.Cluster, "init": s.Init, "supervisor": s.Supervisor} {
		text, err := json.Marshal(part)
		var value any
		if err != nil || json.Unmarshal(text, &value) != nil {
			continue // a document can always be encoded: the tests check that
		}
		if name == "init" || name == "supervisor" {
			name = ""
		}
		addLeaves(out, name, value)
	}
	delete(out, "kind")
	delete(out, "apiVersion")
	return out
}

func addLeaves(out map[string]string, at string, value any) {
	switch v := value.(type) {
	case nil:
	case map[string]any:
		for name, inner := range v {
			addLeaves(out, strings.TrimPrefix(at+"."+name, "."), inner)
		}
	case []any:
		for i, inner := range v {
			addLeaves(out, item(at, i), inner)
		}
	default:
		out[at] = fmt.Sprint(v)
	}
}
