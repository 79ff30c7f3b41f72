package diagnose

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// netCauses are about addresses and ports.
func netCauses() []Cause {
	return []Cause{
		{
			Name: "port-taken", Summary: "another program listens on the port; it is named",
			Signs: []string{`listen tcp[46]? (?P<address>\S*):(?P<port>\d+): bind: address already in use`},
			Look:  portTaken,
			// The holder says at which address.
			Explain: "port {port} is taken by {holder}",
			Remedy:  "{free}, or use other ports: '{kubecrank} init --port-offset 100'",
		},
		{
			Name: "address-missing", Summary: "the address to listen on is on no interface of this machine",
			Signs: []string{`listen tcp[46]? \[?(?P<address>[0-9a-fA-F.:%\w]+?)\]?:(?P<port>\d+): bind: cannot assign requested address`},
			Look: func(e Evidence, v Values) Certainty {
				if slices.Contains(e.Addresses, v["address"]) {
					return Passing // it has come meanwhile
				}
				v["flag"] = e.flagWith(v["address"])
				v["have"] = strings.Join(e.Addresses, ", ")
				return Certain
			},
			Explain: "no interface of this machine has the address {address} of --{flag}; it has {have}",
			Remedy: "give one of those in {manifest} (with init: --apiserver-advertise-address), or " +
				"'ip addr add {address} dev INTERFACE'; 'ip addr' lists them",
		},
	}
}

func portTaken(e Evidence, v Values) Certainty {
	port, err := strconv.Atoi(v["port"])
	if err != nil {
		return ""
	}
	holder, taken := e.Listeners[port]
	if !taken || e.Process != nil && e.Process.PID == holder.PID {
		v["holder"], v["free"] = "a program that has ended since", "nothing is to be done"
		return Passing
	}
	v["holder"] = holder.String()
	switch pod := e.OtherPIDs[holder.PID]; {
	case holder.PID == 0:
		v["free"] = "find it with 'ss -ltnp sport = :" + v["port"] + "' as root and stop it"
	case pod != "":
		v["pid"] = strconv.Itoa(holder.PID)
		v["holder"] += ", of the static pod " + pod
		v["free"] = "change the port in one of the two manifests"
	default:
		v["pid"] = strconv.Itoa(holder.PID)
		v["free"] = "stop it: 'kill " + v["pid"] + "'"
	}
	return Certain
}

// flagWith is the flag whose value mentions a text.
func (e Evidence) flagWith(text string) string {
	for _, name := range slices.Sorted(maps.Keys(e.Flags)) {
		if strings.Contains(e.Flags[name], text) {
			return name
		}
	}
	return "?"
}

// waitingCauses are what a component suffers from that waits for another one.
// They pass when that one comes.
func waitingCauses() []Cause {
	return []Cause{
		{
			Name: "waiting-for-etcd", Summary: "kube-apiserver cannot reach etcd, which is not ready",
			Programs: []string{apiServer},
			Signs: []string{
				`Addr: "(?P<address>[^"]+)".*(?:connection refused|i/o timeout|deadline exceeded|no route to host|connection reset|EOF)`,
				`\[-\]etcd failed`,
				`etcd.*context deadline exceeded`,
				`error creating (?:storage factory|leases).*context deadline exceeded`,
			},
			Look: func(e Evidence, v Values) Certainty {
				v["servers"] = e.Flags["etcd-servers"]
				return e.waits(etcd, etcd, v)
			},
			Explain: "it {waits} etcd at {servers}: {state}",
			Remedy:  "{mend}",
		},
		{
			Name: "waiting-for-apiserver", Summary: "a component cannot reach kube-apiserver, which is not ready",
			Programs: []string{controllerManager, scheduler},
			Signs: []string{
				`dial tcp (?P<address>\S+): (?:connect: connection refused|i/o timeout)`,
				`[Ff]ailed to wait for apiserver being healthy`,
			},
			Look: func(e Evidence, v Values) Certainty {
				return e.waits("API server", apiServer, v)
			},
			Explain: "it {waits} the API server: {state}",
			Remedy:  "{mend}",
		},
	}
}

// waits says whether a component suffers now from that it cannot reach its server, the pod that is named. The
// signs are of the past: once that pod is ready, what runs reaches it. What may have ended for want of it stays down
// until its back-off is over: that passes, too, and init has to wait for it.
func (e Evidence) waits(what, pod string, v Values) Certainty {
	v["waits"] = "waits for"
	v["mend"] = "see why " + pod + " does not answer: '" + v["kubecrank"] + " status', '" + v["kubecrank"] + " logs " + pod + "'"
	switch {
	case e.Server == nil:
		v["state"] = "no static pod here is that " + what
	case !e.Server.Ready:
		v["state"] = "the pod " + e.Server.Pod + " is not ready"
	case e.Running:
		return ""
	default:
		v["waits"], v["state"] = "has ended, and its log says that it could not reach", "the pod "+e.Server.Pod+" is ready now"
		v["mend"] = "it is started again when its back-off ends; '" + v["kubecrank"] + " init' does that at once"
	}
	return Passing
}
