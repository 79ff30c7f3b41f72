package payload

import (
	"fmt"
	"slices"
)

// Payload is a packed set of components.
type Payload struct {
	index  *index
	frames []byte
	starts []int // of each chunk's data frame in frames
	err    error // the payload is damaged
}

// Names are the programs that a payload holds, in the order of help texts.
func Names() []string {
	return append(Required(), "etcdutl", "kubectl")
}

// Required are the programs that a control plane cannot do without.
func Required() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
}

// Embedded returns the payload of this program; ok is false in the lean build
// (without the build tag payload), which has none. When the program file is
// damaged, Stage and Verify say so.
func Embedded() (p *Payload, ok bool) {
	if len(embedded) == 0 {
		return nil, false
	}
	p, err := Open(embedded)
	if err != nil {
		err = withHint(err, "this program file is damaged: install it again")
		return &Payload{index: &index{SHA256: "damaged"}, err: err}, true
	}
	return p, true
}

// Open reads the index of a payload. raw is kept, and read when staging.
func Open(raw []byte) (*Payload, error) {
	x, frames, err := parse(raw)
	if err != nil {
		return nil, err
	}
	p := &Payload{index: x, frames: frames, starts: make([]int, len(x.Chunks))}
	at := 0
	for i, c := range x.Chunks {
		p.starts[i] = at
		at += c.Data + c.Sites
	}
	return p, nil
}

// Digest is the SHA-256 of the components file, in hex. It names the directory that Stage fills.
func (p *Payload) Digest() string { return p.index.SHA256 }

// Version is the version of Kubernetes in the payload, with the v.
func (p *Payload) Version() string { return p.index.Version }

// Components are the names of the programs in the payload.
func (p *Payload) Components() []string { return slices.Clone(p.index.Components) }

// About is data about the components that was packed with them: which flags they have (package flagcheck reads it).
func (p *Payload) About() ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	data, err := expandAbout(p.index.About)
	if err != nil {
		return nil, fmt.Errorf("cannot read what the payload says of its components: %w", err)
	}
	return data, nil
}

// Policy is what the components create in a new cluster, as cmd/components/policy prints it.
func (p *Payload) Policy() ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	data, err := expandAbout(p.index.Policy)
	if err != nil {
		return nil, fmt.Errorf("cannot read what the components create: %w", err)
	}
	return data, nil
}

// Size is the length of the staged file in bytes.
func (p *Payload) Size() int64 { return p.index.Size }

// frame returns the compressed bytes of chunk i: its data and its sites.
func (p *Payload) frame(i int) (data, sites []byte) {
	c, start := p.index.Chunks[i], p.starts[i]
	return p.frames[start : start+c.Data], p.frames[start+c.Data : start+c.Data+c.Sites]
}

// hinted is an error with a remedy; cmd/cli prints the remedy on a line of its own.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string  { return e.hint }
func (e *hinted) Unwrap() error { return e.error }

func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}
