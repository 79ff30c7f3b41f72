package payload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Located are components that lie on this machine already: the absolute path
// of each program. They are used where they are, and nothing is staged.
type Located map[string]string

// MissingError lists programs that cannot be found or run.
type MissingError struct {
	Dir      string   // "" for PATH
	Problems []string // "etcd is missing", "kubectl is not executable"
}

func (e *MissingError) Error() string {
	where := e.Dir
	if where == "" {
		where = "PATH"
	}
	return fmt.Sprintf("cannot use the components of %s: %s", where, strings.Join(e.Problems, ", "))
}

// Hint names the remedy.
func (e *MissingError) Hint() string {
	if e.Dir == "" {
		return "this is the lean build of kubecrank, without components: " +
			"give --components-dir a directory that has them, or use the full build"
	}
	return "--components-dir wants one executable file or symlink for each program: " + strings.Join(Names(), ", ")
}

// Locate finds the programs in dir or, when dir is empty, in PATH. The
// required ones that are missing, and any that cannot be executed, are named
// all at once by a *MissingError; etcdutl and kubectl may be missing.
func Locate(dir string) (Located, error) {
	found := Located{}
	var problems []string
	for _, name := range Names() {
		path, err := locate(dir, name)
		switch {
		case err == nil:
			found[name] = path
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, exec.ErrNotFound):
			problems = append(problems, name+" "+problem(err))
		case slices.Contains(Required(), name):
			problems = append(problems, name+" is missing")
		}
	}
	if len(problems) > 0 {
		return nil, &MissingError{dir, problems}
	}
	return found, nil
}

// locate returns the absolute path of one executable.
func locate(dir, name string) (string, error) {
	if dir == "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", err
		}
		return filepath.Abs(path)
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	return path, executable(path)
}

// executable is nil when this user could start the file; a noexec mount counts as not.
func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("is not a file")
	}
	return unix.Access(path, unix.X_OK)
}

// problem words why a program that is there cannot be used.
func problem(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "is not executable"
	}
	return "cannot be used: " + err.Error()
}

// Digest is empty: located components are not staged.
func (l Located) Digest() string { return "" }

// Stage only looks whether the programs are still there.
func (l Located) Stage(context.Context, string) error {
	for name, path := range l {
		if err := executable(path); err != nil {
			return fmt.Errorf("cannot use %s: %w", name, err)
		}
	}
	return nil
}
