package diagnose

import (
	"cmp"
	"strings"
	"time"
)

// refusedCauses are about components that do not let somebody in: their own probes, or each other.
func refusedCauses() []Cause {
	return []Cause{
		{
			Name: "probe-refused", Summary: "the component answers its own probe with 401 or 403: probes have no credentials",
			Signs:   []string{`probe failed: HTTP probe failed with statuscode: (?P<value>401|403)`},
			Look:    probeRefused,
			Holds:   5 * time.Second,
			Explain: "{program} answers its own probe with {value} ({name}){why}",
			Remedy:  "{mend}; if it comes from extraArgs, correct those, too",
		},
		{
			Name:     "credentials-refused",
			Summary:  "kube-apiserver does not know a component's certificate, or the tokens of its controllers",
			Programs: []string{controllerManager, scheduler},
			Signs:    []string{`\bUnauthorized\b`},
			Look:     func(Evidence, Values) Certainty { return Probable },
			Explain:  "kube-apiserver answers {program} with 401 (Unauthorized)",
			Remedy: "--client-ca-file of kube-apiserver must have the CA of the kubeconfig's certificate, and --service-account-key-file " +
				"the public key of --service-account-signing-key-file: '{kubecrank} certs check' and kube-apiserver's manifest show them",
		},
	}
}

func probeRefused(e Evidence, v Values) Certainty {
	v["name"], v["why"] = "Unauthorized", ""
	v["mend"] = "let anonymous requests for the probes' paths pass, in {manifest}"
	if v["value"] == "403" {
		v["name"] = "Forbidden"
		v["mend"] = "add the probes' paths to --authorization-always-allow-paths in {manifest}"
	}
	mode := cmp.Or(e.Flags["authorization-mode"], "RBAC")
	switch {
	case e.Program == apiServer && v["value"] == "403" && strings.Contains(mode, "RBAC"):
		v["why"] = ": it makes the role for probes when it starts, which takes long on a busy machine"
		v["mend"] = "wait; if it stays so, see whether somebody has changed the ClusterRole system:public-info-viewer"
		return Passing
	case e.Program == apiServer && e.Flags["anonymous-auth"] == "false":
		v["why"] = ": --anonymous-auth=false"
		v["mend"] = "'sed -i \"/--anonymous-auth=/d\" " + e.Manifest + "' takes it out; with --authentication-config, anonymous requests " +
			"can be allowed for /livez and /readyz alone"
	case e.Program == apiServer && v["value"] == "403":
		v["mend"] = "use an --authorization-mode with RBAC in {manifest}, " +
			"or let your authorizer allow anonymous requests for /livez and /readyz,"
	case e.Flags["authorization-always-allow-paths"] != "":
		v["why"] = ": --authorization-always-allow-paths=" + e.Flags["authorization-always-allow-paths"]
	}
	v["manifest"] = e.Manifest
	v["mend"] = v.fill(v["mend"])
	return Certain
}

// managerCauses are settings that the controller manager looks at only once it leads, when it is ready already.
func managerCauses() []Cause {
	return []Cause{
		{
			Name: "node-mask", Summary: "a node's part of the pod subnet is larger than the subnet",
			Programs: []string{controllerManager},
			Signs: []string{
				`mask size of cluster CIDR must be less than or equal to --node-cidr-mask-size`,
				`the node CIDR size is too big`,
			},
			Look: func(e Evidence, v Values) Certainty {
				v["flag"] = "node-cidr-mask-size"
				for _, flag := range []string{"node-cidr-mask-size-ipv4", "node-cidr-mask-size-ipv6"} {
					if e.Flags[flag] != "" {
						v["flag"] = flag
					}
				}
				v["value"], v["cidr"] = cmp.Or(e.Flags[v["flag"]], "(its default, 24 or 64)"), e.Flags["cluster-cidr"]
				return e.stillHas("cluster-cidr")
			},
			Explain: "the pod subnet {cidr} has no room for one node's part of it: --{flag} is {value}",
			Remedy: "give a greater number with --{flag} or a larger subnet with --cluster-cidr in {manifest} " +
				"(and in extraArgs or --pod-network-cidr, if it comes from there); the pod is then started again at once",
		},
		{
			Name:     "several-ca-certificates",
			Summary:  "the file of the CA that the controller manager signs with holds more than one certificate",
			Programs: []string{controllerManager},
			Signs:    []string{`expected 1 certificate, found (?P<value>\d+)`},
			Look: func(e Evidence, v Values) Certainty {
				v["file"] = cmp.Or(e.Flags["cluster-signing-cert-file"], "the file of --cluster-signing-cert-file")
				if e.Paths[v["file"]].Certificates == 1 {
					return "" // it was mended: the sign is of an earlier run
				}
				return Certain
			},
			Explain: "{file} holds {value} certificates, and the controller manager signs with one alone",
			Remedy: "leave in {file} only the certificate that belongs to its key " +
				"('openssl x509 -in {file} -out {file}' keeps the first); " +
				"a file with all of them can be trusted with --client-ca-file and --root-ca-file",
		},
	}
}
