// Package templates holds the text/template assets, and nothing else: whoever
// renders a template owns its data, its functions and the check of the result.
//
//	templates.FS --manifests.Render--> YAML --strict decode--> corev1.Pod
//
// The templates of the static pods, all with the data manifests.pod:
//
//	etcd.yaml.tmpl                     a local etcd
//	kube-apiserver.yaml.tmpl           kube-apiserver
//	kube-controller-manager.yaml.tmpl  kube-controller-manager
//	kube-scheduler.yaml.tmpl           kube-scheduler
//	pod-parts.tmpl                     what they share: "command" and "env" of the container, "host"
//	                                   of a probe, "container-security" and "pod-security",
//	                                   "mounts" and "volumes"
//
// A manifest is laid out as kubeadm writes it: keys in alphabetical order, no
// indentation of lists, quotes only where YAML needs them.
//
// The functions that a template may use on a value, one of which every value passes through last:
//
//	quote   a string as a YAML scalar on one line, quoted if it must be
//	number  an integer
//	nested  anything else as a YAML block, indented: nested 8 .ValueFrom
package templates

import "embed"

// FS holds the templates, by the names above.
//
//go:embed *.tmpl
var FS embed.FS
