// Package evidence looks at what is left of a container that is not healthy:
// its log, its process, the files that its flags name, the machine. It changes
// nothing, asks nobody over the network, and decides nothing: package diagnose
// does, from the value that Gather returns.
//
//	runtime.Status (of the supervisor) --Gather--> diagnose.Evidence --diagnose.Diagnose--> Diagnosis
//	manifests, logs, /proc, file systems --^
//
// What cannot be read is left out: evidence is gathered while something else
// has failed, and by any user.
package evidence

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/phases/ports"
	"github.com/kubecrank/kubecrank/runtime"
)

// Options say where to look.
type Options struct {
	Root string // as in --root, for commands in remedies
	// Names returns the flags and feature gates of a component; nil: they are not known.
	Names func(program string) []string
	// Since leaves out what the log had before; and if it is set, what the container's instance before
	// this one has logged since then is evidence, too.
	Since time.Time
}

// Diagnose says why a container of a pod in status is not healthy, as far as that is known.
func Diagnose(status runtime.Status, pod runtime.PodStatus, c runtime.ContainerStatus, o Options) (diagnose.Diagnosis, bool) {
	return diagnose.Diagnose(Gather(status, pod, c, o))
}

// Gather looks at everything that may tell why a container is not healthy. It takes milliseconds and starts no program.
func Gather(status runtime.Status, pod runtime.PodStatus, c runtime.ContainerStatus, o Options) diagnose.Evidence {
	now := time.Now()
	e := diagnose.Evidence{
		Now: now, Root: o.Root, Pod: pod.Name, Container: c.Name, Running: c.PID != 0,
		Reason: c.Reason, Restarts: c.RestartCount, ExitCode: c.ExitCode, Signal: c.Signal, Probe: c.LastProbe,
		OtherPIDs: map[int]string{},
	}
	for _, message := range []string{pod.LastError, c.Message, c.LastProbe} {
		message, _, _ = strings.Cut(message, "\n") // what follows is the end of a log
		if message != "" && !slices.Contains(e.Messages, message) {
			e.Messages = append(e.Messages, message)
		}
	}
	e.Log = readLog(c.LogPath, time.Time{})
	// Lines may have no time of their own: the instance before this one has ended since, or all of them are old.
	if !o.Since.IsZero() && e.Running && c.StartedAt != nil && c.StartedAt.After(o.Since) {
		e.Log = append(readLog(previousLog(c.LogPath), o.Since), e.Log...)
	}
	e.Log, e.Messages = WithoutSecrets(pod.Source, e.Log), WithoutSecrets(pod.Source, e.Messages)
	own := readCommand(pod.Source, c.Name)
	e.Program, e.Flags, e.RunAs, e.Manifest = own.program, own.flags, own.runAs, own.file
	var server command
	for _, other := range status.Pods {
		if other.Name == pod.Name && other.Namespace == pod.Namespace {
			continue
		}
		for _, oc := range other.Containers {
			if oc.PID != 0 {
				e.OtherPIDs[oc.PID] = other.Name
			}
		}
		if cmd := readCommand(other.Source, ""); own.isClientOf(cmd) {
			server, e.Server = cmd, &diagnose.Server{Pod: other.Name, Ready: other.Ready}
		}
	}
	e.Process = processOf(c.PID)
	e.ClockSkew = clockSkew(c, now)
	e.KernelKill = kernelKill(c)
	text := slices.Concat(e.Log, e.Messages)
	e.Listeners = listeners(text)
	if slices.ContainsFunc(text, regexp.MustCompile(`cannot assign requested address`).MatchString) {
		e.Addresses = addresses()
	}
	e.Paths = lookAt(append(pathsIn(text), e.Flags["data-dir"], e.Flags["cluster-signing-cert-file"]))
	e.Certs = certFaults(own, server, o.Root, now)
	names := regexp.MustCompile(`unknown flag|flag provided but not defined|feature gate|ParseBool`)
	if o.Names != nil && slices.ContainsFunc(text, names.MatchString) {
		e.Names = o.Names(own.program)
	}
	return e
}

// listeners are those who have the ports that a line says are taken.
func listeners(lines []string) map[int]ports.Holder {
	taken := regexp.MustCompile(`:(\d+): bind: address already in use`)
	var wanted []int
	for _, line := range lines {
		for _, m := range taken.FindAllStringSubmatch(line, -1) {
			if port, err := strconv.Atoi(m[1]); err == nil {
				wanted = append(wanted, port)
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	return ports.Listeners(wanted)
}

// maxPaths bounds what a strange log can make us look at.
const maxPaths = 40

// pathsIn are the paths that lines complain of.
func pathsIn(lines []string) []string {
	named := regexp.MustCompile(`(?:open|stat|read|mkdir|readdirent|cannot run) (/[^:" ]+)|\bpath=(/[^ )]+)`)
	var paths []string
	for _, line := range slices.Backward(lines) {
		for _, m := range named.FindAllStringSubmatch(line, -1) {
			if path := filepath.Clean(m[1] + m[2]); !slices.Contains(paths, path) && len(paths) < maxPaths {
				paths = append(paths, path)
			}
		}
	}
	return paths
}
