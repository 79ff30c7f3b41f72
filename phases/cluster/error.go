package cluster

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Error is why an object could not be applied or read: what the server
// answered, or why there was no answer.
type Error struct {
	Verb   string // "read"; "" is "apply"
	Object string // "ClusterRoleBinding kubeadm:cluster-admins"
	Server string // URL
	Err    error  // the last answer
	GaveUp error  // the end of the caller's context, nil if it was not the reason to give up
}

func (e *Error) Error() string {
	text := fmt.Sprintf("cannot %s %s at %s: ", cmp.Or(e.Verb, "apply"), e.Object, e.Server)
	if status := answer(e.Err); status != nil {
		code := int(status.Status().Code)
		text += fmt.Sprintf("the API server answers %d %s: ", code, http.StatusText(code))
	}
	text += e.Err.Error()
	if e.GaveUp != nil && !errors.Is(e.Err, e.GaveUp) {
		text += fmt.Sprintf(" (gave up: %v)", e.GaveUp)
	}
	return text
}

func (e *Error) Unwrap() []error {
	if e.GaveUp == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.GaveUp}
}

// Hint says what to do about it.
func (e *Error) Hint() string {
	var malformed *malformedError
	switch {
	case errors.As(e.Err, &malformed):
		return "" // a mistake of ours
	case certificateProblem(e.Err):
		return certificateHint(e.Err)
	}
	if status := answer(e.Err); status != nil {
		switch code := status.Status().Code; {
		case code == http.StatusUnauthorized:
			return "the API server does not know the kubeconfig's client certificate: another CA signed it, or it has expired; " +
				"remove the kubeconfig to have it made anew"
		case code == http.StatusForbidden:
			return "the kubeconfig's user may not do this: super-admin.conf may"
		case code < http.StatusInternalServerError && code != http.StatusTooManyRequests:
			return "" // the answer names the field, and no general advice is better
		}
	}
	switch {
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "nothing listens there: kubecrank status shows whether kube-apiserver runs, kubecrank logs kube-apiserver why not"
	case errors.Is(e.Err, syscall.EHOSTUNREACH), errors.Is(e.Err, syscall.ENETUNREACH):
		return "there is no route to that address: is it an address of this machine, or of a load balancer that is up?"
	default:
		return "kubecrank logs kube-apiserver shows what the API server is waiting for"
	}
}

func answer(err error) apierrors.APIStatus {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status
	}
	return nil
}

// certificateProblem says whether the kubeconfig's CA does not vouch for the
// server. Trying again does not help then. (The other way round the API server
// answers 401.)
func certificateProblem(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

func certificateHint(err error) string {
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return fmt.Sprintf("the API server's certificate lacks the name %s: remove apiserver.crt and apiserver.key "+
			"to have them issued anew (--apiserver-cert-extra-sans adds names)", name.Host)
	case errors.As(err, &unknown):
		return "another CA than the kubeconfig's signed the API server's certificate: " +
			"does the server belong to this cluster? If so, remove the kubeconfig to have it made anew"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the API server's certificate has expired or is not yet valid: check this machine's clock, then the certificate"
	default:
		return "the API server's certificate and the kubeconfig do not fit together: check both, and this machine's clock"
	}
}

// malformedError is an Object that does not say what it claims.
type malformedError struct{ err error }

func (e *malformedError) Error() string { return "the object is malformed: " + e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }
