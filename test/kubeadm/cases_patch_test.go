//go:build oracle

package kubeadm

// patchCases are directories of patches.
func patchCases() []testCase {
	c := func(name string, patches map[string]string) testCase {
		return testCase{name: "patches " + name, init: `patches: {directory: PATCHES}`, patches: patches}
	}
	return []testCase{
		c("strategic", map[string]string{
			"kube-apiserver.yaml": "spec: {containers: [{name: kube-apiserver, resources: {requests: {cpu: 500m}, limits: {memory: 2Gi}}, " +
				"env: [{name: GODEBUG, value: x=1}]}], volumes: [{name: extra, emptyDir: {medium: Memory}}]}\n",
			"etcd+strategic.yaml": "spec: {terminationGracePeriodSeconds: 60}\n---\nmetadata: {labels: {second: document}}\n",
			"kube-scheduler.json": `{"metadata": {"labels": {"tier": null, "site": "eu"}}}`,
		}),
		c("strategic directives", map[string]string{
			"kube-apiserver.yaml": "spec: {containers: [{name: kube-apiserver, volumeMounts: [{$patch: delete, mountPath: /etc/ssl/certs}], " +
				"ports: [{$patch: replace}, {containerPort: 1, name: probe-port}], livenessProbe: null, command: [kube-apiserver, --v=9]}], " +
				"volumes: [{$patch: delete, name: ca-certs}]}\n",
			"kube-controller-manager.yaml": "spec: {containers: [{name: sidecar, image: x}, " +
				"{name: kube-controller-manager}], securityContext: {$patch: replace, runAsUser: 1}}\n",
			"kube-scheduler.yaml": "metadata: {annotations: {a: b}}\nspec: {tolerations: [{operator: Exists}], " +
				"containers: [{name: kube-scheduler, resources: {$patch: delete}}]}\n",
		}),
		c("merge", map[string]string{
			"kube-controller-manager+merge.json": `{"metadata": {"annotations": {"site": "eu"}}, "spec": {"priorityClassName": null,
				"securityContext": {"runAsUser": 65534}, "tolerations": [{"operator": "Exists"}]}}`,
			"kube-scheduler0+merge.yaml": "spec: {containers: [{name: kube-scheduler, image: x, command: [sh]}]}\n",
		}),
		c("json", map[string]string{
			"kube-apiserver1+json.json": `[{"op": "test", "path": "/metadata/name", "value": "kube-apiserver"},
				{"op": "add", "path": "/metadata/labels/example.com~1site", "value": "eu"},
				{"op": "replace", "path": "/spec/containers/0/image", "value": "example.com/kube-apiserver:1"},
				{"op": "add", "path": "/spec/containers/0/command/-", "value": "--v=7"},
				{"op": "add", "path": "/spec/containers/0/command/1", "value": "--first=1"}]`,
			"etcd+json.yaml": "- {op: remove, path: /spec/containers/0/resources}\n- {op: copy, from: /metadata/name, path: /metadata/labels/name}\n" +
				"- {op: move, from: /metadata/labels/tier, path: /metadata/labels/moved}\n",
		}),
		c("in the order of their names", map[string]string{
			"etcd.yaml": "metadata: {labels: {last: plain}}\n", "etcd2.yaml": "metadata: {labels: {last: two}}\n",
			"etcd10.yaml": "metadata: {labels: {last: ten}}\n", "etcd+merge.yaml": "metadata: {labels: {last: merge}}\n",
			"etcd.d/etcd+json.yaml": "[{op: add, path: /metadata/labels/directory, value: sub}]\n",
			"etcd-z.more.yaml":      "metadata: {labels: {dots: 'yes'}}\n",
		}),
		c("that are ignored", map[string]string{
			"README.md": "no patch", "kube-apiserver.yaml.bak": "a: b\n", "kubelet.yaml": "a: b\n", "etcd.yaml": "",
			"kubeletconfiguration.yaml": "maxPods: 50\n", "corednsdeployment.yaml": "spec: {replicas: 1}\n",
		}),
		{name: "patches of external etcd", init: `patches: {directory: PATCHES}`, patches: map[string]string{"etcd.yaml": "metadata: {labels: {a: b}}\n"},
			cluster: `etcd: {external: {endpoints: ["http://e:1"]}}`},
	}
}
