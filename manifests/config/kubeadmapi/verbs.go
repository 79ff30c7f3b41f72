package kubeadmapi

// JoinConfiguration has the settings of one run of join.
type JoinConfiguration struct {
	TypeMeta         `json:",inline"`
	DryRun           bool                    `json:"dryRun,omitempty"`
	NodeRegistration NodeRegistrationOptions `json:"nodeRegistration,omitzero"`
	CACertPath       string                  `json:"caCertPath,omitempty"`
	Discovery        Discovery               `json:"discovery,omitzero"`
	ControlPlane     *JoinControlPlane       `json:"controlPlane,omitempty"`
	SkipPhases       []string                `json:"skipPhases,omitempty"`
	Patches          *Patches                `json:"patches,omitempty"`
	Timeouts         *Timeouts               `json:"timeouts,omitempty"`
}

// JoinControlPlane makes the joining node a control plane node.
type JoinControlPlane struct {
	LocalAPIEndpoint APIEndpoint `json:"localAPIEndpoint,omitzero"`
	CertificateKey   string      `json:"certificateKey,omitempty" datapolicy:"security-key"`
}

// Discovery says how the joining node finds the cluster: by a token or a file.
type Discovery struct {
	BootstrapToken    *BootstrapTokenDiscovery `json:"bootstrapToken,omitempty"`
	File              *FileDiscovery           `json:"file,omitempty"`
	TLSBootstrapToken string                   `json:"tlsBootstrapToken,omitempty" datapolicy:"token"`
}

// BootstrapTokenDiscovery trusts a CA that the token signs or that a hash names.
type BootstrapTokenDiscovery struct {
	Token                    string   `json:"token,omitempty" datapolicy:"token"`
	APIServerEndpoint        string   `json:"apiServerEndpoint,omitempty"`
	CACertHashes             []string `json:"caCertHashes,omitempty"`
	UnsafeSkipCAVerification bool     `json:"unsafeSkipCAVerification,omitempty"`
}

// FileDiscovery trusts a kubeconfig, from a file or an https URL.
type FileDiscovery struct {
	KubeConfigPath string `json:"kubeConfigPath,omitempty"`
}

// ResetConfiguration has the settings of one run of reset.
type ResetConfiguration struct {
	TypeMeta              `json:",inline"`
	CleanupTmpDir         bool      `json:"cleanupTmpDir,omitempty"`
	CertificatesDir       string    `json:"certificatesDir,omitempty"`
	CRISocket             string    `json:"criSocket,omitempty"`
	DryRun                bool      `json:"dryRun,omitempty"`
	Force                 bool      `json:"force,omitempty"`
	IgnorePreflightErrors []string  `json:"ignorePreflightErrors,omitempty"`
	SkipPhases            []string  `json:"skipPhases,omitempty"`
	UnmountFlags          []string  `json:"unmountFlags,omitempty"`
	Timeouts              *Timeouts `json:"timeouts,omitempty"`
}

// UpgradeConfiguration has a part for each subcommand of upgrade.
type UpgradeConfiguration struct {
	TypeMeta `json:",inline"`
	Apply    UpgradeApplyConfiguration `json:"apply,omitzero"`
	Diff     UpgradeDiffConfiguration  `json:"diff,omitzero"`
	Node     UpgradeNodeConfiguration  `json:"node,omitzero"`
	Plan     UpgradePlanConfiguration  `json:"plan,omitzero"`
	Timeouts *Timeouts                 `json:"timeouts,omitempty"`
}

// UpgradeApplyConfiguration is for the first control plane node.
type UpgradeApplyConfiguration struct {
	KubernetesVersion         string   `json:"kubernetesVersion,omitempty"`
	AllowExperimentalUpgrades *bool    `json:"allowExperimentalUpgrades,omitempty"`
	AllowRCUpgrades           *bool    `json:"allowRCUpgrades,omitempty"`
	CertificateRenewal        *bool    `json:"certificateRenewal,omitempty"`
	DryRun                    *bool    `json:"dryRun,omitempty"`
	EtcdUpgrade               *bool    `json:"etcdUpgrade,omitempty"`
	ForceUpgrade              *bool    `json:"forceUpgrade,omitempty"`
	IgnorePreflightErrors     []string `json:"ignorePreflightErrors,omitempty"`
	Patches                   *Patches `json:"patches,omitempty"`
	PrintConfig               *bool    `json:"printConfig,omitempty"`
	SkipPhases                []string `json:"skipPhases,omitempty"`
	ImagePullPolicy           string   `json:"imagePullPolicy,omitempty"`
	ImagePullSerial           *bool    `json:"imagePullSerial,omitempty"`
}

// UpgradeDiffConfiguration is for upgrade diff, which shows what would change.
type UpgradeDiffConfiguration struct {
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	DiffContextLines  int    `json:"contextLines,omitempty"`
}

// UpgradeNodeConfiguration is for every other node.
type UpgradeNodeConfiguration struct {
	CertificateRenewal    *bool    `json:"certificateRenewal,omitempty"`
	DryRun                *bool    `json:"dryRun,omitempty"`
	EtcdUpgrade           *bool    `json:"etcdUpgrade,omitempty"`
	IgnorePreflightErrors []string `json:"ignorePreflightErrors,omitempty"`
	SkipPhases            []string `json:"skipPhases,omitempty"`
	Patches               *Patches `json:"patches,omitempty"`
	ImagePullPolicy       string   `json:"imagePullPolicy,omitempty"`
	ImagePullSerial       *bool    `json:"imagePullSerial,omitempty"`
}

// UpgradePlanConfiguration is for upgrade plan, which shows the possible upgrades.
type UpgradePlanConfiguration struct {
	KubernetesVersion         string   `json:"kubernetesVersion,omitempty"`
	AllowExperimentalUpgrades *bool    `json:"allowExperimentalUpgrades,omitempty"`
	AllowRCUpgrades           *bool    `json:"allowRCUpgrades,omitempty"`
	DryRun                    *bool    `json:"dryRun,omitempty"`
	EtcdUpgrade               *bool    `json:"etcdUpgrade,omitempty"`
	IgnorePreflightErrors     []string `json:"ignorePreflightErrors,omitempty"`
	PrintConfig               *bool    `json:"printConfig,omitempty"`
}
