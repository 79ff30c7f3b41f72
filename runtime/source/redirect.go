package source

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
)

// mostRedirects is net/http's default.
const mostRedirects = 10

// RedirectError says that a redirect was not followed.
type RedirectError struct {
	To  string // without what may be secret
	Why string
}

func (e *RedirectError) Error() string {
	return fmt.Sprintf("the redirect to %s is not followed: %s", e.To, e.Why)
}

// redirect decides about a redirect. The kubelet follows them all, and sends every header but Authorization and Cookie
// along, also to another host and without encryption (net/http does; pkg/kubelet/config/http.go adds nothing). What comes
// from here runs as root, and the header is a secret: it stays with the server that it was given for.
func (s *URL) redirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // it holds the query of the URL before, which may be a token
	from, to := via[len(via)-1].URL, req.URL
	refuse := func(why string) error { return &RedirectError{To: withoutSecrets(to), Why: why} }
	switch {
	case len(via) >= mostRedirects:
		return fmt.Errorf("stopped after %d redirects", mostRedirects)
	case from.Scheme == "https" && to.Scheme != "https":
		return refuse("it leads from an encrypted connection to one that is not")
	case len(s.Header) == 0 && via[0].URL.User == nil, sameServer(via[0].URL, to):
		return nil
	}
	return refuse("the header of the request is meant for " + via[0].URL.Host + " alone")
}

// sameServer also holds for the encrypted server of the same host.
func sameServer(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Host == b.Host || a.Hostname() == b.Hostname() && a.Scheme == "http" && b.Scheme == "https"
}

func withoutSecrets(u *url.URL) string {
	open := *u
	open.User, open.RawQuery, open.Fragment = nil, "", ""
	return open.String()
}

// client returns the client with the rule above.
func (s *URL) client() *http.Client {
	client := http.Client{Timeout: requestTimeout}
	if s.Client != nil {
		client = *s.Client
	}
	client.CheckRedirect = s.redirect
	return &client
}

var (
	userInfo = regexp.MustCompile(`//[^/\s"]*@`)
	urlQuery = regexp.MustCompile(`\?[^\s"]*`)
)

// redact returns an error of net/http without what may be secret: the password of the URL, or of a proxy in the
// environment, and queries.
func redact(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		if ue.Op == "parse" { // its text may be any piece of the address, a password with an odd character among them
			return errors.New("the address is no valid URL")
		}
		err = ue.Err
	}
	return errors.New(urlQuery.ReplaceAllString(userInfo.ReplaceAllString(err.Error(), "//"), ""))
}
