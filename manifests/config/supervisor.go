package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config/kubeadmapi"
)

// V1alpha1 is the API version of our document.
const V1alpha1 = "kubecrank.dev/v1alpha1"

// SupervisorConfiguration is the document for the settings that kubeadm has no field
// for. A field that the KubeletConfiguration has too has the same name there.
type SupervisorConfiguration struct {
	kubeadmapi.TypeMeta `json:",inline"`
	CrashLoopBackOff    CrashLoopBackOff   `json:"crashLoopBackOff,omitzero"`
	ContainerLogMaxSize *resource.Quantity `json:"containerLogMaxSize,omitempty"`
	// ContainerLogMaxFiles is at least 2: the current file and a rotated one.
	ContainerLogMaxFiles int                  `json:"containerLogMaxFiles,omitempty"`
	FileCheckFrequency   *kubeadmapi.Duration `json:"fileCheckFrequency,omitempty"`
	HTTPCheckFrequency   *kubeadmapi.Duration `json:"httpCheckFrequency,omitempty"`
	StaticPodURL         string               `json:"staticPodURL,omitempty"`
	StaticPodURLHeader   map[string][]string  `json:"staticPodURLHeader,omitempty" datapolicy:"token"`
	// MetricsBindAddress is a loopback address and port, such as 127.0.0.1:10260.
	MetricsBindAddress string `json:"metricsBindAddress,omitempty"`
}

// CrashLoopBackOff bounds the delay before an exited container starts again. The delay doubles each time.
type CrashLoopBackOff struct {
	InitialPeriod             *kubeadmapi.Duration `json:"initialPeriod,omitempty"`
	MaxContainerRestartPeriod *kubeadmapi.Duration `json:"maxContainerRestartPeriod,omitempty"`
}

func (s *SupervisorConfiguration) apply(c *Config) {
	if s == nil {
		return
	}
	to := &c.Supervisor
	setDuration(&to.BackOffInitial, s.CrashLoopBackOff.InitialPeriod)
	setDuration(&to.BackOffMax, s.CrashLoopBackOff.MaxContainerRestartPeriod)
	setDuration(&to.FileCheckFrequency, s.FileCheckFrequency)
	setDuration(&to.HTTPCheckFrequency, s.HTTPCheckFrequency)
	if s.ContainerLogMaxSize != nil {
		to.LogMaxSize = s.ContainerLogMaxSize.Value()
	}
	set(&to.LogMaxFiles, s.ContainerLogMaxFiles)
	set(&to.ManifestURL, s.StaticPodURL)
	set(&to.MetricsAddress, s.MetricsBindAddress)
	if s.StaticPodURLHeader != nil {
		to.ManifestURLHeader = s.StaticPodURLHeader
	}
}

// ApplySupervisor puts the SupervisorConfiguration into c, and checks it. It is for
// a file that holds nothing else, such as Paths.SupervisorConfig.
func (d *Documents) ApplySupervisor(c Config) (Config, []error) {
	a := d.applier(c)
	if d.Supervisor == nil {
		a.missing("SupervisorConfiguration")
	}
	a.shared()
	a.config.validateSupervisor(&a.checker)
	return a.done("init")
}

// Document returns the SupervisorConfiguration as YAML. It may contain a secret (ManifestURLHeader).
func (s Supervisor) Document() ([]byte, error) { return yaml.Marshal(s.document()) }

func (s Supervisor) document() SupervisorConfiguration {
	return SupervisorConfiguration{
		TypeMeta: kubeadmapi.TypeMeta{APIVersion: V1alpha1, Kind: kindSupervisor},
		CrashLoopBackOff: CrashLoopBackOff{
			InitialPeriod:             &kubeadmapi.Duration{Duration: s.BackOffInitial},
			MaxContainerRestartPeriod: &kubeadmapi.Duration{Duration: s.BackOffMax},
		},
		ContainerLogMaxSize:  resource.NewQuantity(s.LogMaxSize, resource.BinarySI),
		ContainerLogMaxFiles: s.LogMaxFiles,
		FileCheckFrequency:   &kubeadmapi.Duration{Duration: s.FileCheckFrequency},
		HTTPCheckFrequency:   &kubeadmapi.Duration{Duration: s.HTTPCheckFrequency},
		StaticPodURL:         s.ManifestURL,
		StaticPodURLHeader:   s.ManifestURLHeader,
		MetricsBindAddress:   s.MetricsAddress,
	}
}

// CheckMetricsAddress returns an error unless the address is a loopback address: metrics are served without authentication.
func CheckMetricsAddress(s string) error {
	addr, err := netip.ParseAddrPort(s)
	switch {
	case err != nil || addr.Port() == 0:
		return errors.New("it is not an IP address with a port")
	case !addr.Addr().Unmap().IsLoopback() || addr.Addr().Zone() != "":
		return errors.New("it is not a loopback address, and anybody could read the metrics")
	}
	return nil
}

func (c Config) validateSupervisor(k *checker) {
	s := c.Supervisor
	k.duration("crashLoopBackOff.initialPeriod", s.BackOffInitial)
	if s.BackOffMax < time.Second || s.BackOffMax > 300*time.Second { // the kubelet's limits (pkg/kubelet/apis/config/validation)
		k.bad("crashLoopBackOff.maxContainerRestartPeriod", s.BackOffMax.String(), "it must be between 1s and 300s",
			"Give a time such as 60s.")
	}
	if s.BackOffInitial > s.BackOffMax {
		k.bad("crashLoopBackOff.initialPeriod", s.BackOffInitial.String(), "it is longer than the maximum "+s.BackOffMax.String(),
			"Give a shorter one, or a longer maxContainerRestartPeriod.")
	}
	k.duration("fileCheckFrequency", s.FileCheckFrequency)
	k.duration("httpCheckFrequency", s.HTTPCheckFrequency)
	const leastSize = 4 << 10
	if s.LogMaxSize < leastSize {
		k.bad("containerLogMaxSize", fmt.Sprint(s.LogMaxSize), "a log file of less than 4Ki cannot hold much",
			"Give a size such as 10Mi.")
	}
	if s.LogMaxFiles < 2 {
		k.bad("containerLogMaxFiles", fmt.Sprint(s.LogMaxFiles), "at least 2 files are needed: the current one and the one before it",
			"Give 2 or more.")
	}
	if s.MetricsAddress != "" {
		if err := CheckMetricsAddress(s.MetricsAddress); err != nil {
			k.bad("metricsBindAddress", s.MetricsAddress, err.Error(), "Give an address such as 127.0.0.1:10260.")
		}
	}
	if s.ManifestURL != "" {
		u, err := url.Parse(s.ManifestURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			k.bad("staticPodURL", "", "it is not a URL of the form https://HOST/PATH", "Write scheme, host and path.")
		}
	}
}
