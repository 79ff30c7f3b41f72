package config

import (
	"errors"
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests/config/kubeadmapi"
	"github.com/kubecrank/kubecrank/pathname"
)

// applier puts documents into a Config, and collects the errors.
type applier struct {
	checker
	documents *Documents
	config    Config
}

func (d *Documents) applier(c Config) *applier { return &applier{documents: d, config: c} }

// done returns the Config and the errors, each with its line. An error about a
// missing field gets the line of its document.
func (a *applier) done(verb string) (Config, []error) {
	errs := a.documents.Locate(verb, a.errs)
	for _, err := range errs {
		var fe *FieldError
		if errors.As(err, &fe) && fe.Source == "" {
			fe.Source = fmt.Sprintf("%s:%d", a.documents.Name, a.documents.start(verb))
		}
	}
	return a.config, errs
}

// start returns the line of the first document that counts for a verb.
func (d *Documents) start(verb string) int {
	for _, doc := range d.found {
		if slices.Contains(kindsOf(verb), doc.kind) {
			return doc.line
		}
	}
	return 1
}

// missing adds the error that the file lacks the verb's document. If a document is not YAML, that one may be it: no error is added.
func (a *applier) missing(kinds string) {
	if a.documents.broken {
		return
	}
	a.errs = append(a.errs, a.documents.err(1, "", "there is no "+kinds+" in it", remedyDefaults))
}

// Apply puts the settings of a verb ("init", "join", "reset" or "upgrade") into c.
// The errors have their lines. The caller then applies the flags, and calls
// Complete, Validate and Locate.
func (d *Documents) Apply(verb string, c Config) (Config, []error) {
	switch verb {
	case "join":
		return d.ApplyJoin(c)
	case "reset":
		return d.ApplyReset(c)
	case "upgrade":
		return d.ApplyUpgrade(c)
	}
	return d.ApplyInit(c)
}

// ApplyInit puts the InitConfiguration, the ClusterConfiguration and our document
// into c. A field that the file does not have stays as it is. The directories of
// the cluster's files are below c.Root, as with kubeadm --rootfs.
// cmd/cli reads InitConfiguration.dryRun.
func (d *Documents) ApplyInit(c Config) (Config, []error) {
	a := d.applier(c)
	if d.Init == nil && d.Cluster == nil {
		a.missing("InitConfiguration and no ClusterConfiguration")
	}
	a.cluster(d.Cluster)
	if in := d.Init; in != nil {
		for _, t := range in.BootstrapTokens {
			a.config.BootstrapTokens = append(a.config.BootstrapTokens, bootstrapToken(t))
		}
		a.node(in.NodeRegistration)
		a.endpoint("localAPIEndpoint", in.LocalAPIEndpoint)
		setSecret(&a.config.CertificateKey, in.CertificateKey)
		a.run(in.SkipPhases, in.Patches, in.Timeouts)
	}
	a.shared()
	return a.done("init")
}

// ApplyJoin puts the JoinConfiguration and our document into c.
func (d *Documents) ApplyJoin(c Config) (Config, []error) {
	a := d.applier(c)
	in := d.Join
	if in == nil {
		a.missing("JoinConfiguration")
		return a.done("join")
	}
	a.node(in.NodeRegistration)
	a.run(in.SkipPhases, in.Patches, in.Timeouts)
	join := Join{CACertPath: path.Join(a.config.Paths().PKI, "ca.crt"), ControlPlane: in.ControlPlane != nil}
	if in.CACertPath != "" {
		join.CACertPath = pathname.Rebase(c.Root, in.CACertPath)
	}
	if in.ControlPlane != nil {
		a.endpoint("controlPlane.localAPIEndpoint", in.ControlPlane.LocalAPIEndpoint)
		setSecret(&a.config.CertificateKey, in.ControlPlane.CertificateKey)
	}
	if t := in.Discovery.BootstrapToken; t != nil {
		join.Token, join.APIServerEndpoint = Secret(t.Token), t.APIServerEndpoint
		join.CACertHashes, join.UnsafeSkipCAVerification = t.CACertHashes, t.UnsafeSkipCAVerification
		join.TLSBootstrapToken = join.Token
	}
	if f := in.Discovery.File; f != nil {
		join.KubeConfig = f.KubeConfigPath
	}
	if in.Discovery.BootstrapToken != nil && in.Discovery.File != nil {
		a.bad("discovery", "", "it has both bootstrapToken and file", "Keep one of them.")
	}
	if in.Discovery.BootstrapToken == nil && in.Discovery.File == nil {
		a.bad("discovery", "", "it has neither bootstrapToken nor file", "Give what `kubeadm token create --print-join-command` prints.")
	} else {
		a.config.Join = &join
	}
	setSecret(&join.TLSBootstrapToken, in.Discovery.TLSBootstrapToken)
	a.shared()
	return a.done("join")
}

// ApplyReset puts the ResetConfiguration into c. cmd/cli reads force, cleanupTmpDir,
// unmountFlags and dryRun from d.Reset.
func (d *Documents) ApplyReset(c Config) (Config, []error) {
	a := d.applier(c)
	in := d.Reset
	if in == nil {
		a.missing("ResetConfiguration")
		return a.done("reset")
	}
	setBelow(&a.config.CertificatesDir, c.Root, in.CertificatesDir)
	set(&a.config.Node.CRISocket, in.CRISocket)
	setList(&a.config.IgnorePreflightErrors, in.IgnorePreflightErrors)
	a.run(in.SkipPhases, nil, in.Timeouts)
	for i, flag := range in.UnmountFlags {
		a.oneOf(item("unmountFlags", i), flag, "MNT_FORCE", "MNT_DETACH", "MNT_EXPIRE", "UMOUNT_NOFOLLOW")
	}
	return a.done("reset")
}

// ApplyUpgrade puts the timeouts and our document into c. It also checks the parts
// of d.Upgrade that cmd/cli reads for each subcommand.
func (d *Documents) ApplyUpgrade(c Config) (Config, []error) {
	a := d.applier(c)
	in := d.Upgrade
	if in == nil {
		a.missing("UpgradeConfiguration")
		return a.done("upgrade")
	}
	a.run(nil, nil, in.Timeouts)
	a.upgradePart("apply", in.Apply.Patches, in.Apply.ImagePullPolicy)
	a.upgradePart("node", in.Node.Patches, in.Node.ImagePullPolicy)
	for _, part := range []struct{ field, version string }{
		{"apply.kubernetesVersion", in.Apply.KubernetesVersion},
		{"diff.kubernetesVersion", in.Diff.KubernetesVersion},
		{"plan.kubernetesVersion", in.Plan.KubernetesVersion},
	} {
		if problem := versionProblem(normalVersion(part.version)); part.version != "" && problem != "" {
			a.bad(part.field, part.version, problem, "Give an exact version, such as "+DefaultKubernetesVersion+".")
		}
	}
	if in.Diff.DiffContextLines < 0 {
		a.bad("diff.contextLines", "", "it is less than zero", "Give a number of lines.")
	}
	a.shared()
	return a.done("upgrade")
}

func (a *applier) upgradePart(field string, patches *kubeadmapi.Patches, pullPolicy string) {
	if patches != nil && !path.IsAbs(patches.Directory) {
		a.bad(field+".patches.directory", patches.Directory, "it is not an absolute path", "Give the whole path, from / on.")
	}
	a.pullPolicy(field+".imagePullPolicy", pullPolicy)
}

// shared applies the settings that all verbs have in common.
func (a *applier) shared() {
	a.documents.Supervisor.apply(&a.config)
	if a.documents.Kubelet != nil {
		a.config.KubeletConfiguration = a.documents.Kubelet
	}
	if a.documents.KubeProxy != nil {
		a.config.KubeProxyConfiguration = a.documents.KubeProxy
	}
}

func (a *applier) run(skip []string, patches *kubeadmapi.Patches, timeouts *kubeadmapi.Timeouts) {
	setList(&a.config.SkipPhases, skip)
	if patches != nil {
		set(&a.config.Patches, patches.Directory)
	}
	if timeouts == nil {
		return
	}
	to := &a.config.Timeouts
	setDuration(&to.ControlPlaneComponentHealthCheck, timeouts.ControlPlaneComponentHealthCheck)
	setDuration(&to.KubeletHealthCheck, timeouts.KubeletHealthCheck)
	setDuration(&to.KubernetesAPICall, timeouts.KubernetesAPICall)
	setDuration(&to.EtcdAPICall, timeouts.EtcdAPICall)
	setDuration(&to.TLSBootstrap, timeouts.TLSBootstrap)
	setDuration(&to.Discovery, timeouts.Discovery)
	setDuration(&to.UpgradeManifests, timeouts.UpgradeManifests)
}

func (a *applier) node(in kubeadmapi.NodeRegistrationOptions) {
	to := &a.config.Node
	set(&to.Name, in.Name)
	set(&to.CRISocket, in.CRISocket)
	set(&to.ImagePullPolicy, in.ImagePullPolicy)
	if in.Taints != nil {
		to.Taints = append([]corev1.Taint{}, in.Taints...)
	}
	setList(&to.KubeletExtraArgs, args(in.KubeletExtraArgs))
	if in.ImagePullSerial != nil {
		to.ImagePullSerial = *in.ImagePullSerial
	}
	setList(&a.config.IgnorePreflightErrors, in.IgnorePreflightErrors)
}

func (a *applier) endpoint(field string, in kubeadmapi.APIEndpoint) {
	set(&a.config.Node.BindPort, int(in.BindPort))
	if in.AdvertiseAddress == "" {
		return
	}
	addr, err := ParseAddr(in.AdvertiseAddress)
	if err != nil {
		a.bad(field+".advertiseAddress", "", err.Error(), "Give an address of this machine.")
		return
	}
	a.config.Node.AdvertiseAddress = addr
}

func bootstrapToken(in kubeadmapi.BootstrapToken) BootstrapToken {
	out := BootstrapToken{Token: Secret(in.Token), Description: in.Description, TTL: defaultTokenTTL, Usages: in.Usages,
		Groups: in.Groups}
	if in.TTL != nil {
		out.TTL = in.TTL.Duration
	}
	if in.Expires != nil {
		out.Expires = *in.Expires
		if in.TTL == nil {
			out.TTL = 0
		}
	}
	if len(out.Usages) == 0 {
		out.Usages = []string{"signing", "authentication"}
	}
	if len(out.Groups) == 0 && slices.Contains(out.Usages, "authentication") {
		out.Groups = []string{"system:bootstrappers:kubeadm:default-node-token"}
	}
	return out
}
