//go:build oracle

package kubeadm

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const referenceFile = "../../docs/reference/differences.md"

// The page of the documentation is the two tables. -update writes it.
func TestReference(t *testing.T) {
	page := reference()
	if *update {
		write(t, referenceFile, []byte(page), 0o644)
	}
	have, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Errorf("%s is not what the tables in test/kubeadm say: make oracle ORACLE_FLAGS='-run TestReference -update' writes it",
			filepath.Base(referenceFile))
	}
}

func reference() string {
	var b strings.Builder
	b.WriteString(`# What differs from kubeadm

Given the same configuration file, kubecrank init writes what kubeadm init writes, but for what this page lists. It is made
from the tables of ` + "`test/kubeadm`" + `, which runs the real kubeadm of Kubernetes 1.34, 1.35 and 1.36 in a dry-run and compares, field by field,
the manifests, certificates (subject, alternative names, usages, validity, kind of key, extensions), keys, kubeconfigs, names and
modes of files and directories. A difference that is not here fails that test (` + "`make oracle`" + `), and so does a line here that nothing needs.

## In what is written

`)
	fmt.Fprintf(&b, "| Where | kubeadm | kubecrank | When | Why |\n|---|---|---|---|---|\n")
	for _, line := range deliberate() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", where(line.Where), value(line.Kubeadm), value(line.Kubecrank),
			cmp.Or(line.When, "always"), line.Why)
	}
	b.WriteString(`
A * stands for any text. With a port offset or a root directory, which kubeadm does not have, ports and paths are others too.

## In what is refused

Most of what cannot work is refused by both. These configurations are refused by one of the two only:

| Configuration | Refused by | Why |
|---|---|---|
`)
	for _, by := range []refuser{onlyKubecrank, onlyKubeadm} {
		for _, v := range verdicts() {
			if v.by == by {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", v.name, map[refuser]string{onlyKubeadm: "kubeadm", onlyKubecrank: "kubecrank"}[by], v.why)
			}
		}
	}
	return b.String()
}

// where puts file and field into lines of their own.
func where(text string) string {
	file, field, ok := strings.Cut(text, " ")
	if !ok {
		return code(file)
	}
	return code(file) + "<br>" + code(field)
}

func value(text string) string {
	switch text {
	case "":
		return "nothing"
	case "*":
		return "(the same field)"
	}
	return code(text)
}

func code(text string) string {
	if text == "a file" {
		return text
	}
	return "`" + strings.ReplaceAll(text, "|", "\\|") + "`"
}

// Each line of both tables says why, and in a sentence.
func TestTablesGiveReasons(t *testing.T) {
	var reasons []string
	for _, line := range deliberate() {
		reasons = append(reasons, line.Why)
	}
	for _, v := range verdicts() {
		if v.by != both {
			reasons = append(reasons, v.why)
		} else if v.why != "" {
			t.Errorf("%s: both refuse it, so there is nothing to explain", v.name)
		}
	}
	if i := slices.IndexFunc(reasons, func(why string) bool { return !strings.HasSuffix(strings.TrimSuffix(why, ")"), ".") }); i >= 0 {
		t.Errorf("%q is no sentence", reasons[i])
	}
}
