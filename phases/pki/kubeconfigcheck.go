package pki

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// CheckKubeconfig says whether an existing kubeconfig can be used for spec as
// it is: nil, or a *Reason, which is a Warning when only the server's URL is
// another. It has to trust our CA (any certificate of caPEM), and what its
// user shows has to be accepted; of tokens and plugins only the presence is
// checked. A nil slice stands for a file that is not there. Kubeadm checks
// the CA and warns about the URL (validateKubeConfig).
func CheckKubeconfig(spec KubeconfigSpec, data, caPEM []byte, now time.Time) error {
	f := kubeconfigFiles(spec.Name)
	if data == nil {
		return (&Reason{Kind: Missing, text: "it does not exist"}).about(f)
	}
	k, r := parseKubeconfig(data)
	if r == nil {
		r = first(
			func() *Reason { return checkTrust(k.cluster, caPEM) },
			func() *Reason { return checkUser(spec, k, caPEM, now) },
			func() *Reason { return checkServer(spec, k.cluster) },
		)
	}
	if r != nil {
		return r.about(f)
	}
	return nil
}

// kubeconfigFiles names no CA file: it lies in another directory than the kubeconfig.
func kubeconfigFiles(name string) files { return files{cert: name, key: name, owner: ownerKubeconfig} }

// kubeconfig is a parsed file and what its current context points to.
type kubeconfig struct {
	config  *clientcmdapi.Config
	cluster *clientcmdapi.Cluster
	user    *clientcmdapi.AuthInfo
	name    string // of the user
}

func parseKubeconfig(data []byte) (kubeconfig, *Reason) {
	k := kubeconfig{}
	fail := func(format string, args ...any) (kubeconfig, *Reason) {
		return k, broken(partCert, fmt.Errorf(format, args...))
	}
	var err error
	if k.config, err = clientcmd.Load(data); err != nil {
		return fail("it is no kubeconfig: %w", err)
	}
	current := k.config.CurrentContext
	if current == "" {
		return fail("it is no kubeconfig: current-context is not set")
	}
	context := k.config.Contexts[current]
	if context == nil {
		return fail("its current context %q is not among its contexts", current)
	}
	if k.cluster = k.config.Clusters[context.Cluster]; k.cluster == nil {
		return fail("cluster %q of its current context is not among its clusters", context.Cluster)
	}
	k.name = context.AuthInfo
	if k.user = k.config.AuthInfos[k.name]; k.user == nil {
		return fail("user %q of its current context is not among its users", k.name)
	}
	return k, nil
}

func checkTrust(cluster *clientcmdapi.Cluster, caPEM []byte) *Reason {
	switch {
	case len(cluster.CertificateAuthorityData) > 0:
	case cluster.CertificateAuthority != "":
		return notEmbedded(cluster.CertificateAuthority, "CA certificate")
	default:
		return &Reason{Kind: WrongCA, text: "it holds no CA certificate, so no server could be trusted"}
	}
	theirs, r := parseCerts(cluster.CertificateAuthorityData, partCert)
	if r != nil {
		r.text = "its certificate-authority-data is unusable: " + r.text
		return r
	}
	if caPEM == nil {
		return &Reason{Kind: Missing, part: partCA, text: "it does not exist, so {cert} cannot be verified"}
	}
	ours, r := parseCerts(caPEM, partCA)
	if r != nil {
		return r
	}
	for _, cert := range theirs {
		if slices.ContainsFunc(ours, cert.Equal) {
			return nil
		}
	}
	text := fmt.Sprintf("it trusts another CA (%q) than this cluster's (%q)", subjectOf(theirs[0]), subjectOf(ours[0]))
	if subjectOf(theirs[0]) == subjectOf(ours[0]) {
		text = fmt.Sprintf("it trusts another CA than this cluster's; both are named %q", subjectOf(ours[0]))
	}
	return &Reason{Kind: WrongCA, text: text}
}

func checkUser(spec KubeconfigSpec, k kubeconfig, caPEM []byte, now time.Time) *Reason {
	user := k.user
	switch {
	case user.ClientCertificate != "" && len(user.ClientCertificateData) == 0:
		return notEmbedded(user.ClientCertificate, "client certificate")
	case user.ClientKey != "" && len(user.ClientKeyData) == 0:
		return notEmbedded(user.ClientKey, "client key")
	case len(user.ClientCertificateData) > 0:
		return checkClientCert(spec, k, caPEM, now)
	case user.Token != "" || user.TokenFile != "" || user.Exec != nil || user.AuthProvider != nil || user.Username != "":
		return nil
	default:
		return &Reason{Kind: NoCredentials, text: fmt.Sprintf("its user %q has neither a client certificate nor a token", k.name)}
	}
}

func notEmbedded(file, what string) *Reason {
	return &Reason{Kind: NotEmbedded, text: fmt.Sprintf("it names the file %s instead of holding the %s", file, what)}
}

func checkClientCert(spec KubeconfigSpec, k kubeconfig, caPEM []byte, now time.Time) *Reason {
	c := candidate{certPEM: k.user.ClientCertificateData}
	if len(k.user.ClientKeyData) > 0 {
		c.keyPEM = k.user.ClientKeyData
	}
	r := c.parse()
	if r == nil {
		r = checkLeaf(spec.certSpec(), c.chain, caPEM, now)
	}
	if r == nil {
		return nil
	}
	// Certificate and key are entries of one file here.
	switch {
	case r.Kind == Missing:
		r.text = "it holds a client certificate without its key"
	case r.Kind == KeyMismatch:
		r.text = "its client key does not belong to its client certificate"
	case r.part == partCert:
		r.text = "client certificate: " + r.text
	case r.part == partKey:
		r.text = "client key: " + r.text
	}
	if r.part == partKey {
		r.part = partCert
	}
	return r
}

func checkServer(spec KubeconfigSpec, cluster *clientcmdapi.Cluster) *Reason {
	if cluster.Server == spec.Server {
		return nil
	}
	return &Reason{Kind: WrongServer, text: fmt.Sprintf("it leads to %q, not to %q", cluster.Server, spec.Server)}
}

// EmbedFiles returns the kubeconfig with the files that its current context
// names embedded, as kubeadm reads them; read gets each path as it stands in
// the kubeconfig. Without such names it returns data itself.
func EmbedFiles(data []byte, read func(path string) ([]byte, error)) ([]byte, error) {
	k, r := parseKubeconfig(data)
	if r != nil {
		return nil, r
	}
	changed := false
	for _, e := range []struct {
		file *string
		data *[]byte
	}{
		{&k.cluster.CertificateAuthority, &k.cluster.CertificateAuthorityData},
		{&k.user.ClientCertificate, &k.user.ClientCertificateData},
		{&k.user.ClientKey, &k.user.ClientKeyData},
	} {
		if *e.file == "" || len(*e.data) > 0 {
			continue
		}
		content, err := read(*e.file)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s, which the kubeconfig names: %w", *e.file, err)
		}
		*e.file, *e.data, changed = "", content, true
	}
	if !changed {
		return data, nil
	}
	return clientcmd.Write(*k.config)
}
