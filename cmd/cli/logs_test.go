package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Without a supervisor the log is found by the pod's name alone, and never that of another pod.
func TestFindLogDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, path := range []string{
		"kube-system_etcd-vm_old/etcd", "kube-system_etcd-vm_new/etcd", "default_web-vm_1/app", "default_web-vm_1/sidecar",
		"default_db-vm_1/db", "other_db-vm_1/db", "no-pod",
	} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o700); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(filepath.Join(dir, filepath.Dir(path)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ pod, container, want string }{
		{"etcd", "", "kube-system_etcd-vm_new/etcd"},
		{"etcd-vm", "", "kube-system_etcd-vm_new/etcd"},
		{"web", "sidecar", "default_web-vm_1/sidecar"},
		{"db_other", "", "other_db-vm_1/db"},
	} {
		got, err := findLogDir(dir, tc.pod, tc.container)
		if want := filepath.Join(dir, tc.want); got != want || err != nil {
			t.Errorf("%s/%s: %q, %v; want %s", tc.pod, tc.container, got, err, want)
		}
	}
	for _, pod := range []string{"web", "db"} { // several containers, several pods
		if got, err := findLogDir(dir, pod, ""); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v; want an error that says which there are", pod, got, err)
		}
	}
	for _, pod := range []string{"etc", "..", ""} {
		if got, err := findLogDir(dir, pod, ""); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %q, %v; want that there is none", pod, got, err)
		}
	}
}
