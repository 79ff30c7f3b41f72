package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// certificateExpiry is when a certificate of this control plane expires, for status.
type certificateExpiry struct {
	Name     string    `json:"name"` // as in `certs renew`
	Path     string    `json:"path"`
	Expires  time.Time `json:"expires"`
	DaysLeft int       `json:"daysLeft"` // negative once it has expired
	// remedy is a command, or who else can help.
	remedy string
}

const (
	soon = 30 // days: certificates that expire within them are warned of
	// certsPeriod is how often the files are read, at most.
	certsPeriod = time.Minute
)

// expiryCache keeps what was read of the certificates: a status that is drawn again and again asks often.
type expiryCache struct {
	mu   sync.Mutex
	at   time.Time
	list []certificateExpiry
}

func (c *expiryCache) get(now time.Time, read func(time.Time) []certificateExpiry) []certificateExpiry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || now.Sub(c.at) >= certsPeriod {
		c.at, c.list = now, read(now)
	}
	return c.list
}

// certificates are those below this root that this user may read. It is a look beside a status, so what cannot be
// read is left out: `certs check` says what is wrong with it.
func (a *app) certificates(now time.Time) []certificateExpiry {
	return a.expiries.get(now, a.readCertificates)
}

func (a *app) readCertificates(now time.Time) []certificateExpiry {
	looker := &app{stdio: a.stdio, global: a.global} // remember settles on the components for a run, and this is none
	known, err := looker.remember()
	if err != nil {
		return nil
	}
	const most = 1 << 20
	paths, files := known.cfg.Paths(), map[string]string{}
	for _, spec := range pki.Specs(known.cfg) {
		files[spec.CertFile()] = filepath.Join(paths.PKI, spec.CertFile())
	}
	for _, spec := range pki.KubeconfigSpecs(known.cfg) {
		files[spec.Name] = filepath.Join(paths.Kubernetes, spec.Name)
	}
	have := map[string][]byte{}
	for name, path := range files {
		if data, err := readRegular(path, most); err == nil && data != nil {
			have[name] = data
		}
	}
	var list []certificateExpiry
	for _, e := range pki.Expiries(known.cfg, have, now) {
		if e.Problem == "" {
			c := certificateExpiry{Name: e.Name, Path: files[e.File], Expires: e.Expires.UTC(), DaysLeft: e.Days}
			c.remedy = fmt.Sprintf("kubecrank certs renew %s --restart%s", e.Name, a.rootFlag())
			if e.CA == "" {
				c.remedy = "kubecrank does not renew a certificate authority: make a new one before that day, " +
					"and with it all that it has signed"
			}
			list = append(list, c)
		}
	}
	return list
}

// expiryMetrics is what the supervisor serves of the certificates.
func (a *app) expiryMetrics() []supervisor.Certificate {
	var all []supervisor.Certificate
	for _, c := range a.certificates(time.Now()) {
		all = append(all, supervisor.Certificate{Name: c.Name, Path: c.Path, Expires: c.Expires})
	}
	return all
}

// printExpiring warns of the certificates that expire soon or have expired.
func printExpiring(w io.Writer, all []certificateExpiry) {
	expiring := slices.DeleteFunc(slices.Clone(all), func(c certificateExpiry) bool { return c.DaysLeft >= soon })
	if len(expiring) == 0 {
		return
	}
	fmt.Fprintln(w, "\nCertificates:")
	for _, c := range expiring {
		day := c.Expires.Format(time.DateOnly)
		switch {
		case c.DaysLeft < 0:
			fmt.Fprintf(w, "  warning: %s has expired (%s, %s)\n", c.Name, day, c.Path)
		case c.DaysLeft < 2:
			fmt.Fprintf(w, "  warning: %s expires in less than 2 days (%s, %s)\n", c.Name, day, c.Path)
		default:
			fmt.Fprintf(w, "  warning: %s expires in %d days (%s, %s)\n", c.Name, c.DaysLeft, day, c.Path)
		}
		fmt.Fprintf(w, "    hint: %s\n", c.remedy)
	}
}
