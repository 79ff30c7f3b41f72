// Package cluster does what is done through the API server once it answers:
// objects are applied, with server-side apply, as whoever a kubeconfig is for.
//
//	AdminRBAC --> []Object (data; the plan holds and prints it)
//	                 |
//	kubeconfig --Connect--> Client --Apply--> created, changed or left as it is; or an *Error with a hint
//
// It uses client-go's dynamic client: the typed clientset would add 31 MB to
// the program and serve nothing that is needed here.
package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// FieldManager owns in the API server what kubecrank applies.
const FieldManager = "kubecrank"

// Object is one API object, as comparable data for the plan.
type Object struct {
	Group     string `json:"group,omitempty"` // "rbac.authorization.k8s.io", "" for the core group
	Version   string `json:"version"`         // "v1"
	Resource  string `json:"resource"`        // "clusterrolebindings": the path in the API
	Kind      string `json:"kind"`            // "ClusterRoleBinding": for people
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	YAML      string `json:"yaml"` // the whole object
}

// String names the object: "ClusterRoleBinding kubeadm:cluster-admins".
func (o Object) String() string {
	if o.Namespace != "" {
		return fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, o.Name)
	}
	return o.Kind + " " + o.Name
}

func (o Object) resource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: o.Resource}
}

// decode returns the object in YAML, which has to be the one that the other
// fields name: otherwise one thing would be planned and another applied.
func (o Object) decode() (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(o.YAML), &obj.Object); err != nil {
		return nil, err
	}
	want := schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind}
	if got := obj.GroupVersionKind(); got != want || obj.GetName() != o.Name || obj.GetNamespace() != o.Namespace {
		return nil, fmt.Errorf("its YAML is %s %s/%s", got, obj.GetNamespace(), obj.GetName())
	}
	return obj, nil
}

// AdminRBAC is what has to be bound before admin.conf and the API server's
// connections to kubelets have any rights. It is applied as super-admin.conf,
// whose group bypasses authorization.
//
// The first is EnsureAdminClusterRoleBinding of kubeadm's
// cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go, made while init waits for the control plane. The
// second is AllowAPIServerToAccessKubeletAPI of
// cmd/kubeadm/app/phases/bootstraptoken/node/tlsbootstrap.go, which kubeadm's bootstrap-token
// phase makes: since 1.36 the client certificate has no group that would do.
func AdminRBAC() []Object {
	return []Object{
		clusterRoleBinding("kubeadm:cluster-admins", "cluster-admin", "Group", "kubeadm:cluster-admins"),
		clusterRoleBinding("kubeadm:apiserver-kubelet-client", "system:kubelet-api-admin", "User", "kube-apiserver-kubelet-client"),
	}
}

// DefaultServiceAccount is what the controller manager's serviceaccount-controller makes first.
func DefaultServiceAccount() Object {
	return Object{Version: "v1", Resource: "serviceaccounts", Kind: "ServiceAccount", Namespace: "default", Name: "default"}
}

func clusterRoleBinding(name, role, subjectKind, subject string) Object {
	return Object{
		Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings", Kind: "ClusterRoleBinding", Name: name,
		YAML: `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: ` + name + `
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: ` + role + `
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: ` + subjectKind + `
  name: ` + subject + `
`,
	}
}
