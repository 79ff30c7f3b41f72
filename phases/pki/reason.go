package pki

import (
	"errors"
	"path"
	"strings"
)

// Reason is why a file cannot be used as it is. File names in its texts are
// relative to the PKI directory (kubeconfigs: to their own) until Locate puts
// the directory in front.
type Reason struct {
	Kind Kind

	part    part
	text    string // {cert}, {key}, {ca} and {missing} stand for file names
	files   files
	missing []string
	dir     string
}

// Kind is what is wrong, for callers that treat one case differently.
type Kind string

// The kinds of Reason.
const (
	Missing         Kind = "missing"           // one file of a pair is there and the other is not, or neither
	Broken          Kind = "broken"            // no PEM, no DER, no YAML, or not what the name promises
	Encrypted       Kind = "encrypted"         // the private key wants a passphrase
	UnsupportedKey  Kind = "unsupported-key"   // neither RSA nor ECDSA
	KeyMismatch     Kind = "key-mismatch"      // certificate and key do not belong together
	NotACA          Kind = "not-a-ca"          // a CA's certificate may not sign certificates
	Expired         Kind = "expired"           // or its CA has
	NotYetValid     Kind = "not-yet-valid"     // or its CA is not: mostly a clock that is wrong
	NotSigned       Kind = "not-signed"        // not by the CA that is here
	WrongName       Kind = "wrong-name"        // a subject alternative name is lacking
	WrongSubject    Kind = "wrong-subject"     // another user or group than wanted
	WrongUsage      Kind = "wrong-usage"       // not for servers, or not for clients
	NeedsExternalCA Kind = "needs-external-ca" // the CA's key is not here, so the user has to provide what it signs
	NoCredentials   Kind = "no-credentials"    // a kubeconfig's user can show nothing
	NotEmbedded     Kind = "not-embedded"      // a kubeconfig names a file where it should hold the bytes
	WrongCA         Kind = "wrong-ca"          // a kubeconfig trusts another CA
	WrongServer     Kind = "wrong-server"      // a kubeconfig's URL is another one: Warning
)

// Warning says that the file can be used nevertheless, and that the user
// should hear about it: kubeadm only warns of another server URL, because
// users point kubeconfigs at load balancers on purpose.
func (r *Reason) Warning() bool { return r.Kind == WrongServer }

// Path is the file that cannot be used.
func (r *Reason) Path() string {
	switch r.part {
	case partKey:
		return r.name(r.files.key, "the private key")
	case partCA:
		return r.name(r.files.ca, "the CA certificate")
	default:
		return r.name(r.files.cert, "the certificate")
	}
}

func (r *Reason) Error() string { return "cannot use " + r.Path() + ": " + r.expand(r.text) }

// Hint says what to do about it.
func (r *Reason) Hint() string { return r.expand(r.remedy()) }

// Locate puts the directory in front of the file names in err's *Reason. Any
// other error, and nil, is returned as it is.
func Locate(err error, dir string) error {
	var r *Reason
	if !errors.As(err, &r) {
		return err
	}
	located := *r
	located.dir = dir
	return &located
}

// ExternalCA is the error for what a CA should sign whose key is not here:
// kubeadm's external CA mode. missing are the files that the user has to
// provide, all in one error; absolute paths stay as they are. caFile is ""
// where the CA's file lies in another directory than those.
func ExternalCA(caFile string, missing ...string) *Reason {
	return &Reason{
		Kind: NeedsExternalCA, part: partCA, missing: missing,
		text:  "its private key is not here (external CA), so these cannot be issued: {missing}",
		files: files{ca: caFile, owner: ownerLeaf},
	}
}

// part is which file a Reason is about.
type part int

const (
	partCert part = iota
	partKey
	partCA
)

// files are the names a Reason may mention, and whose they are.
type files struct {
	cert, key, ca string
	owner         owner
}

// owner decides which remedy is safe to give.
type owner int

const (
	ownerLeaf owner = iota
	ownerCA
	ownerServiceAccount
	ownerKubeconfig
)

func (s Spec) files() files {
	f := files{cert: s.CertFile(), key: s.KeyFile(), ca: s.Signer + ".crt"}
	if s.IsCA() {
		f.ca, f.owner = f.cert, ownerCA
	}
	return f
}

// about returns the Reason with the names of the files.
func (r *Reason) about(f files) *Reason {
	r.files = f
	return r
}

func (r *Reason) remedy() string {
	switch r.Kind {
	case NeedsExternalCA:
		return "have the owner of the CA issue them and put them there, or put the CA's key beside {ca}"
	case Encrypted:
		return "put it there without a passphrase (openssl pkey -in {key} -out plain.key) with mode 0600: nobody can type one at boot"
	case NotYetValid:
		return "set this machine's clock; if that is right, " + r.replaceRemedy()
	case Expired:
		if r.part == partCA || r.files.owner == ownerCA {
			return r.replaceRemedy()
		}
		return "renew it with 'kubecrank certs renew all', " + r.replaceRemedy()
	case NotEmbedded:
		return "embed it (kubectl config view --flatten), or remove {cert} to have it made anew"
	case WrongServer:
		return "nothing, if that URL leads to this control plane; otherwise remove {cert} to have it made anew"
	default:
		return r.replaceRemedy()
	}
}

func (r *Reason) replaceRemedy() string {
	if r.part == partCA || r.files.owner == ownerCA {
		return "put a valid {ca} and its key there; remove both, and all that this CA has signed, only if the cluster is to start anew"
	}
	switch r.files.owner {
	case ownerServiceAccount:
		return "put the pair that belongs together there; if both are removed a new pair is made, and no token issued so far is accepted"
	case ownerKubeconfig:
		return "replace it, or remove {cert} to have it made anew"
	default:
		return "replace it, or remove {cert} and {key} to have both issued anew"
	}
}

func (r *Reason) expand(text string) string {
	missing := make([]string, len(r.missing))
	for i, m := range r.missing {
		missing[i] = r.name(m, m)
	}
	return strings.NewReplacer(
		"{cert}", r.name(r.files.cert, "the certificate"),
		"{key}", r.name(r.files.key, "the private key"),
		"{ca}", r.name(r.files.ca, "the CA certificate"),
		"{missing}", strings.Join(missing, ", "),
	).Replace(text)
}

func (r *Reason) name(file, anonymous string) string {
	switch {
	case file == "":
		return anonymous
	case path.IsAbs(file):
		return file
	default:
		return path.Join(r.dir, file)
	}
}
