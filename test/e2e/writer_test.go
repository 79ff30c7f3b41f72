//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// store is something that takes writes and gives them back.
type store interface {
	// put writes one key; nil means that it was acknowledged.
	put(ctx context.Context, key string) error
	// keys returns all keys that are there.
	keys(ctx context.Context) (map[string]bool, error)
}

// writer writes key after key into a store, whatever happens to it, and remembers those that were acknowledged.
type writer struct {
	store store
	name  string
	stop  func()

	mu    sync.Mutex
	acked []string
	last  error // of the last write that was not
}

// startWriter starts a writer. It ends with the test, or when check is called.
func startWriter(t testing.TB, name string, to store) *writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{store: to, name: name}
	done := make(chan struct{})
	w.stop = func() { cancel(); <-done }
	t.Cleanup(w.stop)
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ { // every key once: one whose answer was lost may be there, or not
			w.write(ctx, fmt.Sprintf("%s-%06d", name, i))
		}
	}()
	return w
}

func (w *writer) write(ctx context.Context, key string) {
	attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err := w.store.put(attempt, key)
	w.mu.Lock()
	if err == nil {
		w.acked = append(w.acked, key)
	} else if ctx.Err() == nil {
		w.last = err
	}
	w.mu.Unlock()
	select {
	case <-time.After(10 * time.Millisecond): // the machine has other work
	case <-ctx.Done():
	}
}

// count is how many writes were acknowledged, and why the last failed one was not.
func (w *writer) count() (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked), w.last
}

// forget forgets why a write failed.
func (w *writer) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = nil
}

// progress waits until a write is acknowledged that was begun later than now.
func (w *writer) progress(n *node) {
	n.t.Helper()
	was, _ := w.count()
	n.eventually(2*time.Minute, "a write of "+w.name+" acknowledged", func() error {
		if is, last := w.count(); is < was+2 {
			return fmt.Errorf("%d are, the last error: %w", is, last)
		}
		return nil
	})
}

// check ends the writing, looks for every acknowledged write, and adds what it finds to a row.
func (w *writer) check(t testing.TB, row *faultRow) {
	t.Helper()
	w.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	there, err := w.store.keys(ctx)
	if err != nil {
		t.Fatalf("cannot read what %s wrote: %v", w.name, err)
	}
	count(&row.acked, len(w.acked))
	count(&row.lost, 0)
	for _, key := range w.acked {
		if !there[key] {
			count(&row.lost, 1)
			t.Errorf("%s was acknowledged and is not there", key)
		}
	}
	if len(w.acked) == 0 {
		t.Errorf("no write of %s was acknowledged", w.name)
	}
}

// certificates are files of a CA, a client's certificate and its key.
func (n *node) certificates(ca, cert, key string) (files [3][]byte) {
	n.t.Helper()
	for i, name := range []string{ca, cert, key} {
		data, err := os.ReadFile(filepath.Join(n.root, "etc/kubernetes/pki", name))
		if err != nil {
			n.t.Fatal(err)
		}
		files[i] = data
	}
	return files
}

// admin are the administrator's, from the kubeconfig.
func (n *node) admin() (files [3][]byte) {
	n.t.Helper()
	data, err := os.ReadFile(filepath.Join(n.root, "etc/kubernetes/admin.conf"))
	if err != nil {
		n.t.Fatal(err)
	}
	var kubeconfig struct {
		Clusters []struct {
			Cluster struct {
				CA []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			}
		}
	}
	if err := yaml.Unmarshal(data, &kubeconfig); err != nil || len(kubeconfig.Clusters) != 1 || len(kubeconfig.Users) != 1 {
		n.t.Fatalf("cannot read admin.conf: %v", err)
	}
	user := kubeconfig.Users[0].User
	return [3][]byte{kubeconfig.Clusters[0].Cluster.CA, user.Cert, user.Key}
}

// client makes requests with a client certificate.
func (n *node) client(files [3][]byte) *http.Client {
	n.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(files[0])
	cert, err := tls.X509KeyPair(files[1], files[2])
	if err != nil {
		n.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}
	n.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask sends a body, "" for none, and reads the answer as JSON.
func ask(ctx context.Context, c *http.Client, url, body string, answer any) error {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(data))
	}
	return json.Unmarshal(data, answer)
}

// configMaps writes ConfigMaps through the API server.
type configMaps struct {
	client *http.Client
	url    string
	size   int // of each, in bytes
}

func (n *node) configMaps(size int) *configMaps {
	return &configMaps{n.client(n.admin()),
		fmt.Sprintf("https://127.0.0.1:%d/api/v1/namespaces/default/configmaps", n.ports()["kube-apiserver"]), size}
}

func (c *configMaps) put(ctx context.Context, key string) error {
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"name":%q,"ballast":%q}}`,
		key, key, strings.Repeat("x", c.size))
	return ask(ctx, c.client, c.url, body, new(any))
}

func (c *configMaps) keys(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	for next := ""; ; {
		var list struct {
			Metadata struct{ Continue string }
			Items    []struct {
				Metadata struct{ Name string }
				Data     map[string]string
			}
		}
		if err := ask(ctx, c.client, c.url+"?limit=500&continue="+next, "", &list); err != nil {
			return nil, err
		}
		for _, item := range list.Items {
			found[item.Metadata.Name] = item.Data["name"] == item.Metadata.Name && len(item.Data["ballast"]) == c.size
		}
		if next = list.Metadata.Continue; next == "" {
			return found, nil
		}
	}
}

// etcdKeys writes into etcd itself, through the JSON gateway of its client port.
type etcdKeys struct {
	client *http.Client
	url    string
}

func (n *node) etcdKeys() *etcdKeys {
	return &etcdKeys{n.client(n.certificates("etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key")), fmt.Sprintf("https://127.0.0.1:%d/v3/kv/", n.ports()["etcd"])}
}

// The gateway's byte strings are base64, as []byte is in encoding/json.
type etcdKey struct {
	Key      []byte `json:"key"`
	Value    []byte `json:"value,omitempty"`
	RangeEnd []byte `json:"range_end,omitempty"`
}

func (e *etcdKeys) ask(ctx context.Context, verb string, body etcdKey, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return ask(ctx, e.client, e.url+verb, string(data), answer)
}

const etcdPrefix = "/kubecrank-test/"

func (e *etcdKeys) put(ctx context.Context, key string) error {
	var answer struct{ Header struct{ Revision string } }
	if err := e.ask(ctx, "put", etcdKey{Key: []byte(etcdPrefix + key), Value: []byte(key)}, &answer); err != nil {
		return err
	}
	if answer.Header.Revision == "" {
		return errors.New("etcd answers without a revision")
	}
	return nil
}

func (e *etcdKeys) keys(ctx context.Context) (map[string]bool, error) {
	var answer struct{ KVs []etcdKey }
	end := strings.TrimSuffix(etcdPrefix, "/") + "0" // the character after the slash
	if err := e.ask(ctx, "range", etcdKey{Key: []byte(etcdPrefix), RangeEnd: []byte(end)}, &answer); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, kv := range answer.KVs {
		key := strings.TrimPrefix(string(kv.Key), etcdPrefix)
		found[key] = string(kv.Value) == key
	}
	return found, nil
}
