package diagnose

import (
	"time"

	"github.com/kubecrank/kubecrank/phases/ports"
	"github.com/kubecrank/kubecrank/runtime"
)

// Evidence is all that is known of one container that is not healthy. It is a
// plain value: tests keep what real failures left as JSON.
type Evidence struct {
	Now       time.Time `json:"now"`
	Root      string    `json:"root,omitempty"` // as in --root, for commands in remedies
	Pod       string    `json:"pod"`
	Container string    `json:"container"`
	// Program is the base name of the command's first word, Flags its arguments "--name=value" by
	// name, as the manifest has them now.
	Program  string            `json:"program"`
	Flags    map[string]string `json:"flags,omitempty"`
	Manifest string            `json:"manifest,omitempty"` // its file
	RunAs    *int64            `json:"runAs,omitempty"`    // runAsUser

	Running  bool           `json:"running"`
	Reason   runtime.Reason `json:"reason,omitempty"`
	Restarts int            `json:"restarts"`
	ExitCode *int           `json:"exitCode,omitempty"`
	Signal   string         `json:"signal,omitempty"`
	Probe    string         `json:"probe,omitempty"` // what was probed and answered
	// Messages are what the supervisor says: why it waits, why it could not be started.
	Messages []string `json:"messages,omitempty"`
	// Log are the last lines of its log, oldest first, without the runtime's prefix and JSON.
	Log []string `json:"log,omitempty"`

	Process   *Process             `json:"process,omitempty"` // nil: none runs
	Listeners map[int]ports.Holder `json:"listeners,omitempty"`
	Addresses []string             `json:"addresses,omitempty"` // of this machine
	Certs     []CertFault          `json:"certs,omitempty"`
	Paths     map[string]Path      `json:"paths,omitempty"` // those that flags, log and messages name
	Names     []string             `json:"names,omitempty"` // flags and feature gates that the program knows
	// ClockSkew is how much more time has passed by the clock than by the machine's own count
	// since the container was started: somebody has set the clock by that.
	ClockSkew time.Duration `json:"clockSkew,omitempty"`
	// KernelKill is the kernel's line about killing the container's process for want of memory.
	KernelKill string  `json:"kernelKill,omitempty"`
	Server     *Server `json:"server,omitempty"`
	// OtherPIDs are the processes of the supervisor's other pods, with their names.
	OtherPIDs map[int]string `json:"otherPIDs,omitempty"`
}

// Server is the static pod that a component is a client of: etcd for
// kube-apiserver, kube-apiserver for the others.
type Server struct {
	Pod   string `json:"pod"`
	Ready bool   `json:"ready"`
}

// Process is the state of a container's process.
type Process struct {
	PID      int    `json:"pid"`
	State    string `json:"state"` // the letter of proc_pid_stat(5): R, S, D, T, ...
	Files    int    `json:"files"` // open
	MaxFiles int    `json:"maxFiles"`
}

// CertFault is what is wrong with a certificate that the container shows or has to accept.
type CertFault struct {
	Kind   string `json:"kind"` // a pki.Kind
	File   string `json:"file"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
	// Client marks a certificate that is shown to a server.
	Client bool `json:"client,omitempty"`
	// Peer is the pod at the other end, if it is another.
	Peer string `json:"peer,omitempty"`
	// Written is when the file was written, by the clock of then.
	Written time.Time `json:"written"`
	From    time.Time `json:"from"` // when it is valid
	Until   time.Time `json:"until"`
}

// Path is what is at a path.
type Path struct {
	Problem string `json:"problem,omitempty"` // why it cannot be looked at: "no such file or directory"
	Nearest string `json:"nearest,omitempty"` // the nearest directory that exists
	Dir     bool   `json:"dir,omitempty"`
	UID     int64  `json:"uid"`
	Mode    string `json:"mode,omitempty"`
	Machine string `json:"machine,omitempty"` // of an ELF file: "aarch64"; "no program" for another file
	Mount   string `json:"mount,omitempty"`   // where its file system is mounted
	Free    uint64 `json:"free"`              // bytes for any user, of its file system
	Size    uint64 `json:"size"`
	// Certificates is how many certificates a PEM file holds.
	Certificates int `json:"certificates,omitempty"`

	NoInodes bool `json:"noInodes,omitempty"`
	ReadOnly bool `json:"readOnly,omitempty"`
	NoExec   bool `json:"noExec,omitempty"`
}

// common are the values that every text may use.
func (e Evidence) common(v Values) {
	v["kubecrank"] = "kubecrank"
	if e.Root != "" {
		v["kubecrank"] = "kubecrank --root " + e.Root
	}
	v["program"], v["pod"], v["manifest"] = e.Program, e.Pod, e.Manifest
	if dir := e.Flags["data-dir"]; dir != "" {
		v["dataDir"] = dir
	}
}
