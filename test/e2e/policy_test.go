//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// What bootstrap-policy creates is what kube-apiserver's hook and kube-controller-manager create without it: the
// same objects, with the same content, labels and annotations. And it creates nothing again that somebody removed.
func TestBootstrapPolicy(t *testing.T) {
	with, without := newNode(t), newNode(t)
	r := with.init("-v")
	if text := r.stdout + r.stderr; !strings.Contains(text, "objects of v1.") {
		t.Errorf("init does not say that it created objects:\n%s", text)
	}
	without.init("--skip-phases", "bootstrap-policy")
	var difference []string
	with.eventually(30*time.Second, "the same policy as without the phase", func() error { // aggregated roles are filled in later
		ours, upstreams := with.policy(), without.policy()
		if len(upstreams) < 170 {
			return fmt.Errorf("there are only %d objects", len(upstreams))
		}
		difference = nil
		for name := range upstreams {
			if ours[name] != upstreams[name] {
				difference = append(difference, fmt.Sprintf("%s is\n %s, want\n %s", name, ours[name], upstreams[name]))
			}
		}
		for name := range ours {
			if _, there := upstreams[name]; !there {
				difference = append(difference, name+" is one too many")
			}
		}
		if len(difference) > 0 {
			return errors.New(strings.Join(difference, "\n"))
		}
		return nil
	})
	with.kubectl("delete", "clusterrole", "system:node-problem-detector")
	with.init()
	if _, there := with.policy()["ClusterRole /system:node-problem-detector"]; there {
		t.Error("init creates a role again that was deleted")
	}
}

// policy are the default objects of a cluster and the service accounts in kube-system, without what differs by
// cluster: name to JSON.
func (n *node) policy() map[string]string {
	n.t.Helper()
	var list struct{ Items []map[string]any }
	text := n.kubectl("get", "clusterroles,clusterrolebindings,roles,rolebindings,priorityclasses,serviceaccounts", "-A", "-o", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		n.t.Fatal(err)
	}
	found := map[string]string{}
	for _, item := range list.Items {
		meta := item["metadata"].(map[string]any)
		maps.DeleteFunc(meta, func(key string, _ any) bool {
			return slices.Contains([]string{"uid", "resourceVersion", "creationTimestamp", "managedFields"}, key)
		})
		namespace, _ := meta["namespace"].(string)
		data, err := json.Marshal(item)
		if err != nil {
			n.t.Fatal(err)
		}
		found[fmt.Sprintf("%s %s/%s", item["kind"], namespace, meta["name"])] = string(data)
	}
	return found
}
