// Package templates holds the manifests' text, and nothing else: whoever fills
// in a template owns its values and the check of the result.
//
//	templates.FS --manifests.Render, values--> corev1.Pod --> YAML
//
// A template is YAML in which a scalar ${name} stands for a value of any type, a
// list or a mapping too; null leaves the key out. So a value cannot break out
// of its place, whatever is in it, and the file reads like the manifest that comes
// of it. There are neither conditions nor loops: those are Go, in package
// manifests. (text/template would also keep six megabytes of unused methods in the
// program: it finds methods by name, so the linker may not drop any.)
//
// The templates of the static pods, all filled in from manifests.pod:
//
//	etcd.yaml                     a local etcd
//	kube-apiserver.yaml           kube-apiserver
//	kube-controller-manager.yaml  kube-controller-manager
//	kube-scheduler.yaml           kube-scheduler
package templates

import "embed"

// FS holds the templates, by the names above.
//
//go:embed *.yaml
var FS embed.FS
