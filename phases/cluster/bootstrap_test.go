package cluster

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// newCluster is an API server that stores what is created, and lists roles.
type newCluster struct {
	mu         sync.Mutex
	there      []string // paths of objects
	busy       int      // so many creations are answered with 503
	namespaces bool     // they are there
	refuses    bool
}

func (c *newCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(code int, body map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
	status := func(code int, reason string) {
		answer(code, map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason})
	}
	if r.Method == http.MethodGet {
		items := []any{}
		for _, path := range c.there {
			if strings.Contains(path, "/clusterroles/") {
				items = append(items, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "x"}})
			}
		}
		answer(http.StatusOK, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleList", "items": items})
		return
	}
	var obj map[string]any
	_ = json.NewDecoder(r.Body).Decode(&obj)
	path := r.URL.Path + "/" + obj["metadata"].(map[string]any)["name"].(string)
	switch {
	case c.refuses:
		status(http.StatusForbidden, "Forbidden")
	case c.busy > 0:
		c.busy--
		status(http.StatusServiceUnavailable, "ServiceUnavailable")
	case strings.Contains(path, "/namespaces/") && !c.namespaces:
		c.namespaces = true // the next time
		status(http.StatusNotFound, "NotFound")
	case slices.Contains(c.there, path):
		status(http.StatusConflict, "AlreadyExists")
	default:
		c.there = append(c.there, path)
		answer(http.StatusCreated, obj)
	}
}

func objects() []json.RawMessage {
	const rbac = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":`
	return []json.RawMessage{
		[]byte(rbac + `"ClusterRole","metadata":{"name":"view"}}`),
		[]byte(rbac + `"ClusterRoleBinding","metadata":{"name":"basic"}}`),
		[]byte(rbac + `"Role","metadata":{"name":"leader","namespace":"kube-system"}}`),
		[]byte(`{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"system-node-critical"}}`),
	}
}

const (
	rbacPath = "/apis/rbac.authorization.k8s.io/v1/"
	system   = "/api/v1/namespaces/kube-system/serviceaccounts/"
)

func (c *newCluster) bootstrap(t *testing.T) (int, error) {
	t.Helper()
	id := identify(t, sound)
	s := &apiServer{Server: httptest.NewUnstartedServer(c)}
	s.listen(t, id)
	return connect(t, s.kubeconfig).Bootstrap(t.Context(), objects(), []string{"job-controller"})
}

// A new cluster gets all objects, also while its server is busy and has no namespaces yet, and what is there stays.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	c := &newCluster{busy: 2, there: []string{system + "job-controller"}}
	made, err := c.bootstrap(t)
	want := []string{
		system + "job-controller", rbacPath + "clusterrolebindings/basic", rbacPath + "clusterroles/view",
		rbacPath + "namespaces/kube-system/roles/leader", "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
	}
	slices.Sort(want)
	slices.Sort(c.there)
	if err != nil || made != 4 || !slices.Equal(c.there, want) {
		t.Errorf("%d created, error %v, there are %q, want %q", made, err, c.there, want)
	}
}

// In a cluster that has a role, what is missing was removed: it stays away.
func TestBootstrapOfAnOldCluster(t *testing.T) {
	t.Parallel()
	c := &newCluster{namespaces: true, there: []string{rbacPath + "clusterroles/cluster-admin"}}
	if made, err := c.bootstrap(t); err != nil || made != 0 || len(c.there) != 1 {
		t.Errorf("%d created, error %v, there are %q", made, err, c.there)
	}
}

// A refusal is final, and names the object.
func TestBootstrapTakesNoForAnAnswer(t *testing.T) {
	t.Parallel()
	c := &newCluster{refuses: true}
	made, err := c.bootstrap(t)
	wantError(t, err, "super-admin.conf may", "cannot create ", "403 Forbidden")
	if made != 0 {
		t.Errorf("%d created", made)
	}
}
