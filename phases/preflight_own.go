package phases

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// The checks that kubeadm does not have.

// addressPresent: etcd and the API server fail late and obscurely on an address of another machine.
func addressPresent(s *State) []plan.Check {
	const name = "AddressPresent"
	addr := s.Config.Node.AdvertiseAddress
	if addr.IsLoopback() || slices.Contains(s.Facts.Addresses, addr.WithZone("").Unmap()) {
		return ok(name, "")
	}
	have := make([]string, 0, len(s.Facts.Addresses))
	for _, a := range s.Facts.Addresses {
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			have = append(have, a.String())
		}
	}
	remedy := "this machine has no address but loopback; give --apiserver-advertise-address=127.0.0.1 for a control plane for itself alone"
	if len(have) > 0 {
		remedy = "give one of " + strings.Join(have, ", ") + " with --apiserver-advertise-address"
	}
	return failed(name, fmt.Sprintf("the advertise address %s is not on this machine", addr), remedy)
}

// writable asks for each directory that is written to. Where root is needed and lacking, that is said once.
func writable(s *State) []plan.Check {
	if s.Config.Root == "" && s.Facts.UID != 0 {
		return nil
	}
	var checks []plan.Check
	told := make(map[string]bool)
	for _, dir := range s.written() {
		place, known := s.Facts.Places[dir]
		if !known || place.Writable {
			checks = append(checks, ok(s.label("Writable", dir), "")...)
			continue
		}
		if told[place.Problem] {
			continue
		}
		told[place.Problem] = true
		checks = append(checks, failed(s.label("Writable", dir), fmt.Sprintf("cannot write to %s: %s", dir, place.Problem),
			"correct its owner or mode, remount it read-write, or give another --root")...)
	}
	return checks
}

// written are the directories that init writes to.
func (s *State) written() []string {
	dirs := []string{s.Paths.Kubernetes, s.Paths.PKI, s.Paths.Manifests, s.Paths.State, s.Paths.Run, s.Paths.PodLogs}
	if s.Config.Etcd.External == nil {
		dirs = append(dirs, s.Paths.EtcdData)
	}
	return dirs
}

func componentsUsable(s *State) []plan.Check {
	name := s.label("NoExec", s.Paths.State)
	place, known := s.Facts.Places[s.Paths.Components]
	if s.Payload.Digest == "" || !known || !place.NoExec {
		return ok(name, "")
	}
	return failed(name, fmt.Sprintf("programs cannot be run from %s: it is mounted noexec", place.Existing),
		"remount it with exec, or put the components elsewhere and give --components-dir")
}

// What the disk has to hold.
const (
	mib          = 1 << 20
	payloadGuess = 160 * mib // when the payload does not say
	stateReserve = 64 * mib  // logs, journal
	etcdMinimum  = 160 * mib // two write-ahead log files of 64 MiB each, and a database
	etcdComfort  = 2 << 30   // etcd's default quota
)

func diskSpace(s *State) []plan.Check {
	need := uint64(stateReserve)
	if staged := s.Facts.Look(s.Paths.Components+"/"+s.Payload.Digest).Kind == resource.Directory; s.Payload.Digest != "" && !staged {
		size := uint64(max(s.Payload.Size, 0))
		if size == 0 {
			size = payloadGuess
		}
		need += size
	}
	checks := s.room(s.Paths.State, need, need)
	if s.Config.Etcd.External == nil {
		checks = append(checks, s.room(s.Paths.EtcdData, etcdMinimum, etcdComfort)...)
	}
	return checks
}

func (s *State) room(dir string, need, want uint64) []plan.Check {
	name := s.label("DiskSpace", dir)
	place, known := s.Facts.Places[dir]
	text := fmt.Sprintf("%s has %d MiB free, and needs %d MiB", place.Existing, place.FreeBytes/mib, want/mib)
	switch {
	case !known || place.FreeBytes >= want:
		return ok(name, "")
	case place.FreeBytes >= need:
		return warning(name, text, "make room before the cluster grows")
	default:
		return failed(name, fmt.Sprintf("%s has %d MiB free, and needs %d MiB", place.Existing, place.FreeBytes/mib, need/mib),
			"make room, or put it on another disk")
	}
}
