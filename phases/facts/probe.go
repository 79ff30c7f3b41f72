package facts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// How long a Probe measures: what init can spare, and what a user waits for who asked for nothing else.
const (
	Quick    = 20 * time.Millisecond
	Thorough = 200 * time.Millisecond
)

// Probed is what only a run finds out, and no dry-run: to know it takes time, a
// write to a disk, or a word with another machine. The zero value is that nobody asked.
type Probed struct {
	// Fsyncs are how long writes to the file system of etcd's data took, each with its fdatasync.
	Fsyncs []time.Duration
	// Etcd is what each endpoint of an external etcd says.
	Etcd []EtcdAnswer
	// NameKnown: the node's name has an address. NameError is why it has none; "" also when nobody knew in time.
	NameKnown bool
	NameError string
}

// EtcdAnswer is what an endpoint of an external etcd says of itself.
type EtcdAnswer struct {
	Endpoint string // URL
	Version  string // "3.6.8"
	Error    string // why it did not say
}

// etcdPatience is for one answer of an external etcd; kubeadm has the same.
const etcdPatience = 5 * time.Second

// Probe begins to ask, beside Gather, and returns a function that waits for the
// answers: for patience, five times that if the disk is slow, and as long as an external etcd takes.
func Probe(ctx context.Context, cfg config.Config, patience time.Duration) (wait func() Probed) {
	var p Probed
	var all sync.WaitGroup
	if e := cfg.Etcd.External; e != nil {
		all.Go(func() { p.Etcd = askEtcd(ctx, *e) })
	} else if dir, fresh := fsyncPlace(cfg); fresh {
		timer := timeFsyncs(dir)
		all.Go(func() { p.Fsyncs = timer.wait(patience) })
	}
	if cfg.Root == "" { // below a root nobody but this machine's own components is meant to find the node
		all.Go(func() { p.NameKnown, p.NameError = lookUp(ctx, cfg.Node.Name, patience) })
	}
	return func() Probed {
		all.Wait()
		return p
	}
}

// fsyncPlace is where etcd's data will be; not fresh when a member is there already: it may be at work.
func fsyncPlace(cfg config.Config) (dir string, fresh bool) {
	data := cfg.Paths().EtcdData
	if _, err := os.Lstat(filepath.Join(data, "member")); err == nil || !filepath.IsAbs(data) {
		return "", false
	}
	place := placeBelow(cfg.Root, data)
	return place.Existing, place.Writable
}

// lookUp is kubeadm's HostnameCheck. A resolver that takes its time is not waited for.
func lookUp(ctx context.Context, name string, patience time.Duration) (known bool, problem string) {
	if name == "" {
		name, _ = os.Hostname() // "": Validate asks for one
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := net.DefaultResolver.LookupHost(ctx, strings.ToLower(name))
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return false, missing.Err
	}
	return err == nil, ""
}

// askEtcd asks all endpoints side by side for their versions, as kubeadm's ExternalEtcdVersionCheck does one after the other.
func askEtcd(ctx context.Context, e config.ExternalEtcd) []EtcdAnswer {
	endpoints := e.HTTPEndpoints
	if len(endpoints) == 0 {
		endpoints = e.Endpoints
	}
	answers := make([]EtcdAnswer, len(endpoints))
	client, err := etcdClient(e)
	if err != nil {
		return []EtcdAnswer{{Endpoint: strings.Join(endpoints, ","), Error: err.Error()}}
	}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for i, endpoint := range endpoints {
		all.Go(func() {
			answers[i].Endpoint = endpoint
			version, err := etcdVersion(ctx, client, endpoint)
			if answers[i].Version = version; err != nil {
				answers[i].Error = err.Error()
			}
		})
	}
	all.Wait()
	return answers
}

func etcdClient(e config.ExternalEtcd) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CAFile != "" {
		data, err := os.ReadFile(e.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read its CA %s: %s", e.CAFile, reason(err))
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("cannot use its CA %s: there is no certificate in it", e.CAFile)
		}
	}
	if e.CertFile != "" && e.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cannot use the certificate %s with the key %s: %w", e.CertFile, e.KeyFile, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: etcdPatience,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, DisableKeepAlives: true}}, nil
}

func etcdVersion(ctx context.Context, client *http.Client, endpoint string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(endpoint, "/")+"/version", http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %s", resp.Status)
	}
	var answer struct {
		EtcdServer string `json:"etcdserver"`
	}
	const most = 64 << 10
	if err := json.NewDecoder(io.LimitReader(resp.Body, most)).Decode(&answer); err != nil {
		return "", fmt.Errorf("what it answers is no version of etcd's: %w", err)
	}
	return answer.EtcdServer, nil
}
