package payload

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func program(t *testing.T, dir, name string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
		t.Fatal(err)
	}
}

// All that is missing or cannot be executed is named in one error; what is optional is not.
func TestLocateNamesEverythingMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program(t, dir, "etcd", 0o755)
	program(t, dir, "kubectl", 0o644)
	if err := os.Mkdir(filepath.Join(dir, "kube-scheduler"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Locate(dir)
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("Locate = %v, want a MissingError", err)
	}
	want := []string{"kube-apiserver is missing", "kube-controller-manager is missing",
		"kube-scheduler cannot be used: is not a file", "kubectl is not executable"}
	if !reflect.DeepEqual(missing.Problems, want) || missing.Hint() == "" {
		t.Errorf("problems are %q, want %q", missing.Problems, want)
	}
}

// Located components are absolute paths, and Stage notices when one goes away.
func TestLocated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range Required() {
		program(t, dir, name, 0o755)
	}
	found, err := Locate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 4 || found["etcd"] != filepath.Join(dir, "etcd") || found.Digest() != "" {
		t.Errorf("found %v", found)
	}
	if err := found.Stage(t.Context(), ""); err != nil {
		t.Errorf("Stage of what is there: %v", err)
	}
	if err := os.Remove(found["etcd"]); err != nil {
		t.Fatal(err)
	}
	if err := found.Stage(t.Context(), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stage of what is gone: %v", err)
	}
}

// Without a directory PATH is searched.
func TestLocateInPath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range Names() {
		program(t, dir, name, 0o755)
	}
	t.Setenv("PATH", dir)
	found, err := Locate("")
	if err != nil || len(found) != len(Names()) {
		t.Errorf("found %v, %v", found, err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Locate(""); err == nil {
		t.Error("an empty PATH has components")
	}
}
