// Command policy prints what a new cluster gets from its own components, as
// upstream's packages define it: the default roles, bindings and priority
// classes that kube-apiserver creates when it starts, and the service accounts
// that kube-controller-manager creates for its controllers. It runs at build
// time only; cmd/pack puts the output into the payload.
//
//	bootstrappolicy, scheduling ------------------> objects
//	controller descriptors --Build, recorded------> service accounts
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduling "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// policy is what phases/cluster reads (cluster.Policy).
type policy struct {
	Objects         []any     `json:"objects"`
	ServiceAccounts []account `json:"serviceAccounts"`
}

// account is a service account in kube-system.
type account struct {
	Name        string       `json:"name"`
	Controllers []controller `json:"controllers"` // that use it
}

// controller is a controller as the flag --controllers names it.
type controller struct {
	Names []string `json:"names"`           // the present name, and older ones
	Off   bool     `json:"off,omitempty"`   // it runs only if it is named
	Gated bool     `json:"gated,omitempty"` // a feature gate that is on by default lets it run
}

func main() {
	klog.InitFlags(nil)
	_ = flag.Set("logtostderr", "false") // controllers that are not built log that
	klog.SetOutput(io.Discard)
	accounts, err := accounts()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(policy{objects(), accounts})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "policy:", err)
		os.Exit(1)
	}
}

// objects are those of the hooks rbac/bootstrap-roles and scheduling/bootstrap-system-priority-classes. What an
// aggregated role is made of comes before it, and a binding that was split off before the one it was split from:
// the hook copies the old one when the new one is missing.
func objects() []any {
	var list []any
	roles := append(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()...)
	slices.SortStableFunc(roles, func(a, b rbacv1.ClusterRole) int { return cmp.Compare(aggregated(a), aggregated(b)) })
	for _, o := range roles {
		o.TypeMeta = kind("ClusterRole")
		list = append(list, o)
	}
	bindings := append(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()...)
	split := bootstrappolicy.ClusterRoleBindingsToSplit()
	slices.SortStableFunc(bindings, func(a, b rbacv1.ClusterRoleBinding) int {
		_, ofA := split[a.Name]
		_, ofB := split[b.Name]
		return cmp.Compare(number(ofA), number(ofB))
	})
	for _, o := range bindings {
		o.TypeMeta = kind("ClusterRoleBinding")
		list = append(list, o)
	}
	namespaced := bootstrappolicy.NamespaceRoles()
	for _, namespace := range slices.Sorted(maps.Keys(namespaced)) {
		for _, o := range namespaced[namespace] {
			o.TypeMeta = kind("Role")
			list = append(list, o)
		}
	}
	namespacedBindings := bootstrappolicy.NamespaceRoleBindings()
	for _, namespace := range slices.Sorted(maps.Keys(namespacedBindings)) {
		for _, o := range namespacedBindings[namespace] {
			o.TypeMeta = kind("RoleBinding")
			list = append(list, o)
		}
	}
	for _, o := range scheduling.SystemPriorityClasses() {
		o.TypeMeta = metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"}
		list = append(list, o)
	}
	return list
}

func kind(name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: name}
}

func aggregated(r rbacv1.ClusterRole) int { return number(r.AggregationRule != nil) }

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// accounts builds each controller as the controller manager does, with a client builder that notes for which
// service account a client is asked, and then refuses.
func accounts() ([]account, error) {
	config, err := options.NewDefaultComponentConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "https://127.0.0.1:1"}) // nothing is sent
	if err != nil {
		return nil, err
	}
	users := map[string][]controller{}
	descriptors := app.NewControllerDescriptors()
	for _, name := range slices.Sorted(maps.Keys(descriptors)) {
		d := descriptors[name]
		if d.RequiresSpecialHandling() || d.IsCloudProviderController() {
			continue
		}
		asked := &recorder{}
		build(d, app.ControllerContext{
			ClientBuilder: asked, ComponentConfig: config, InformerFactory: informers.NewSharedInformerFactory(client, 0),
		})
		if asked.name != "" {
			users[asked.name] = append(users[asked.name], controller{
				Names: append([]string{name}, d.GetAliases()...), Off: d.IsDisabledByDefault(), Gated: len(d.GetRequiredFeatureGates()) > 0,
			})
		}
	}
	var list []account
	for _, name := range slices.Sorted(maps.Keys(users)) {
		list = append(list, account{name, users[name]})
	}
	return list, nil
}

// build ends as soon as the controller asks for a client: with an error, or a panic where upstream cannot return one.
func build(d *app.ControllerDescriptor, c app.ControllerContext) {
	defer func() { _ = recover() }()
	_, _ = d.BuildController(context.Background(), c)
}

// recorder is a client builder that makes no client. All clients of a controller have one name.
type recorder struct{ name string }

var errRecorded = errors.New("the name is noted")

func (r *recorder) note(name string) error {
	r.name = name
	return errRecorded
}

func (r *recorder) Config(name string) (*rest.Config, error)         { return nil, r.note(name) }
func (r *recorder) Client(name string) (kubernetes.Interface, error) { return nil, r.note(name) }
func (r *recorder) ConfigOrDie(name string) *rest.Config             { panic(r.note(name)) }
func (r *recorder) ClientOrDie(name string) kubernetes.Interface     { panic(r.note(name)) }
func (r *recorder) DiscoveryClientOrDie(name string) discovery.DiscoveryInterface {
	panic(r.note(name))
}
func (r *recorder) DiscoveryClient(name string) (discovery.DiscoveryInterface, error) {
	return nil, r.note(name)
}
