package config

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	tokenPattern     = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)
	groupPattern     = regexp.MustCompile(`^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$`)
	certKeyPattern   = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	caCertHashFormat = regexp.MustCompile(`^sha256:[0-9a-fA-F]{64}$`)
)

// validateRun checks the settings of the node's registration and of this run.
func (c Config) validateRun(k *checker) {
	if c.Node.CRISocket != "" {
		u, err := url.Parse(c.Node.CRISocket)
		if p := c.Node.CRISocket; !path.IsAbs(p) && (err != nil || u.Scheme != "unix" || !path.IsAbs(u.Path)) {
			k.bad("nodeRegistration.criSocket", p, "it is not a socket of the form unix:///PATH",
				"Give a socket such as unix:///run/containerd/containerd.sock.")
		}
	}
	k.pullPolicy("nodeRegistration.imagePullPolicy", c.Node.ImagePullPolicy)
	k.args("nodeRegistration.kubeletExtraArgs", c.Node.KubeletExtraArgs)
	for i, t := range c.Node.Taints {
		at := item("nodeRegistration.taints", i)
		if t.Key == "" {
			k.bad(at, "", "the taint has no key", "Give it a key, such as node-role.kubernetes.io/control-plane.")
		}
		k.oneOf(at+".effect", string(t.Effect), "NoSchedule", "PreferNoSchedule", "NoExecute")
	}
	if c.CertificateKey != "" && !certKeyPattern.MatchString(string(c.CertificateKey)) {
		k.bad("certificateKey", "", "it is not a key of 32 bytes in hexadecimal", "`kubeadm certs certificate-key` makes one.")
	}
	if c.DNS.ImageRepository != "" {
		k.repository("dns.imageRepository", c.DNS.ImageRepository)
	}
	k.tag("dns.imageTag", c.DNS.ImageTag)
	for i, t := range c.BootstrapTokens {
		k.bootstrapToken(item("bootstrapTokens", i), t)
	}
}

func (k *checker) bootstrapToken(at string, t BootstrapToken) {
	const form = "A token is six and sixteen small letters and digits with a dot between them; leave it out for a random one."
	if t.Token != "" && !tokenPattern.MatchString(string(t.Token)) {
		k.bad(at+".token", "", "it is not a bootstrap token", form)
	}
	if t.TTL < 0 {
		k.bad(at+".ttl", t.TTL.String(), "it is less than zero", "Give a duration such as 24h, or 0s for a token that does not expire.")
	}
	if t.TTL > 0 && !t.Expires.IsZero() {
		k.bad(at, "", "it has both ttl and expires", "Keep one of them.")
	}
	for i, usage := range t.Usages {
		k.oneOf(item(at+".usages", i), usage, "signing", "authentication")
	}
	for i, group := range t.Groups {
		if !groupPattern.MatchString(group) {
			k.bad(item(at+".groups", i), group, "it is not a group of bootstrappers", "Give one of the form system:bootstrappers:NAME.")
		}
	}
	if len(t.Groups) > 0 && !slices.Contains(t.Usages, "authentication") {
		k.bad(at+".groups", strings.Join(t.Groups, ","), "the token has groups, but is not for authentication",
			"Add authentication to usages.")
	}
}

func (c Config) validateJoin(k *checker) {
	j := c.Join
	if j == nil {
		return
	}
	if j.CACertPath != "" && k.dir("caCertPath", c.Root, j.CACertPath) && !strings.HasSuffix(j.CACertPath, ".crt") {
		k.bad("caCertPath", j.CACertPath, "its name does not end in .crt", "Give the path of the CA's certificate.")
	}
	if j.TLSBootstrapToken != "" && !tokenPattern.MatchString(string(j.TLSBootstrapToken)) && j.TLSBootstrapToken != j.Token {
		k.bad("discovery.tlsBootstrapToken", "", "it is not a bootstrap token", "`kubeadm token create` makes one.")
	}
	if j.KubeConfig != "" {
		if u, err := url.Parse(j.KubeConfig); err != nil || u.Scheme != "" && u.Scheme != "https" && u.Scheme != "file" {
			k.bad("discovery.file.kubeConfigPath", "", "it is neither a file nor an https URL", "Give the path of a kubeconfig.")
		}
		return
	}
	const field = "discovery.bootstrapToken"
	if !tokenPattern.MatchString(string(j.Token)) {
		k.bad(field+".token", "", "it is not a bootstrap token", "`kubeadm token create` makes one.")
	}
	if host, port, err := ParseEndpoint(j.APIServerEndpoint); err != nil || host == "" || port == 0 {
		k.bad(field+".apiServerEndpoint", j.APIServerEndpoint, "it is not HOST:PORT", "Give host and port of the API server.")
	}
	if len(j.CACertHashes) == 0 && !j.UnsafeSkipCAVerification {
		k.bad(field+".caCertHashes", "", "the list is empty, so anybody could pose as the cluster",
			"Give what `kubeadm token create --print-join-command` prints, or set unsafeSkipCAVerification.")
	}
	for i, hash := range j.CACertHashes {
		if !caCertHashFormat.MatchString(hash) {
			k.bad(item(field+".caCertHashes", i), hash, "it is not a hash of the form sha256:HEX", "Copy it whole.")
		}
	}
}

func (k *checker) pullPolicy(field, policy string) {
	if policy != "" {
		k.oneOf(field, policy, "Always", "IfNotPresent", "Never")
	}
}

func (k *checker) oneOf(field, value string, values ...string) {
	if !slices.Contains(values, value) {
		k.bad(field, value, "there is no such value", "Give one of "+strings.Join(values, ", ")+".")
	}
}

func (k *checker) duration(field string, d time.Duration) {
	k.positive(field, int64(d), d.String())
}

func item(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
