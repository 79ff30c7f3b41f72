// Package expiry reads when the certificates of a control plane expire, and warns of those that do so soon.
package expiry

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/pki"
)

// Certificate is when a certificate of a control plane expires.
type Certificate struct {
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

// Cache keeps what was read of the certificates: a status that is drawn again and again asks often.
type Cache struct {
	mu   sync.Mutex
	at   time.Time
	list []Certificate
}

// Get returns what is known, and reads anew after a minute.
func (c *Cache) Get(now time.Time, read func(time.Time) []Certificate) []Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || now.Sub(c.at) >= certsPeriod {
		c.at, c.list = now, read(now)
	}
	return c.list
}

// Read returns the certificates of a configuration that this user may read. It is a look beside a status: a file that cannot
// be read is left out, and `certs check` says what is wrong with it. rootFlag ends the commands of the remedies: " --root DIR" or "".
func Read(cfg config.Config, rootFlag string, read func(path string, most int64) ([]byte, error), now time.Time) []Certificate {
	const most = 1 << 20
	paths, files := cfg.Paths(), map[string]string{}
	for _, spec := range pki.Specs(cfg) {
		files[spec.CertFile()] = filepath.Join(paths.PKI, spec.CertFile())
	}
	for _, spec := range pki.KubeconfigSpecs(cfg) {
		files[spec.Name] = filepath.Join(paths.Kubernetes, spec.Name)
	}
	have := map[string][]byte{}
	for name, path := range files {
		if data, err := read(path, most); err == nil && data != nil {
			have[name] = data
		}
	}
	var list []Certificate
	for _, e := range pki.Expiries(cfg, have, now) {
		if e.Problem == "" {
			c := Certificate{Name: e.Name, Path: files[e.File], Expires: e.Expires.UTC(), DaysLeft: e.Days}
			c.remedy = fmt.Sprintf("kubecrank certs renew %s --restart%s", e.Name, rootFlag)
			if e.CA == "" {
				c.remedy = "kubecrank does not renew a certificate authority: make a new one before that day, " +
					"and with it all that it has signed"
			}
			list = append(list, c)
		}
	}
	return list
}

// Print warns of the certificates that expire soon or have expired.
func Print(w io.Writer, all []Certificate) {
	expiring := slices.DeleteFunc(slices.Clone(all), func(c Certificate) bool { return c.DaysLeft >= soon })
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
