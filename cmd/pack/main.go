// Command pack makes the component payload that the build embeds into
// kubecrank (make build runs it):
//
//	pack -version v1.36.3 -policy bin/policy.json -o runtime/payload/payload.bin bin/components
//
// It starts the components to ask them for their flags (--help), which become a
// part of the payload. A payload that is up to date is left as it is.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubecrank/kubecrank/runtime/payload"
)

func main() {
	version := flag.String("version", "", "the version of Kubernetes in the components, such as v1.36.3")
	policy := flag.String("policy", "", "what the components create in a new cluster, as cmd/components/policy prints it")
	out := flag.String("o", "", "the payload file to write")
	flag.Parse()
	if *version == "" || *policy == "" || *out == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: pack -version VERSION -policy FILE -o FILE COMPONENTS")
		os.Exit(2)
	}
	data, err := os.ReadFile(*policy)
	if err == nil {
		err = run(*out, payload.Source{Path: flag.Arg(0), Version: *version, Components: payload.Names(), Policy: data})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// run writes to a temporary file first: a payload that is there is whole.
func run(out string, src payload.Source) error {
	path, err := filepath.Abs(src.Path)
	if err != nil {
		return err
	}
	flags, err := ask(path)
	if err != nil {
		return err
	}
	if src.About, err = flags.Encode(); err != nil {
		return err
	}
	done, err := payload.Packed(out, src)
	if err != nil || done {
		return err
	}
	tmp, err := os.Create(out + ".tmp")
	if err != nil {
		return err
	}
	defer tmp.Close()
	w := bufio.NewWriterSize(tmp, 1<<20)
	if err := payload.Pack(w, src); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), out)
}
