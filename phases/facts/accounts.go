package facts

import (
	"os"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/accounts"
	"github.com/kubecrank/kubecrank/procfs"
)

// The host's users and groups.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// chooseAccounts is whom the components are to run as, if not as root.
func chooseAccounts(cfg config.Config) (accounts.Set, error) {
	if !cfg.Rootless() {
		return accounts.Set{}, nil
	}
	if cfg.Root != "" {
		return accounts.Below(cfg.Root, procfs.MappedIDs()), nil
	}
	var text [2]string
	for i, file := range []string{passwdFile, groupFile} {
		data, err := os.ReadFile(file)
		if err != nil {
			return accounts.Set{}, &accounts.Error{File: file, Name: accounts.Etcd, Problem: reason(err)}
		}
		text[i] = string(data)
	}
	defs, _ := os.ReadFile("/etc/login.defs") // without it there are defaults
	return accounts.Choose(text[0], text[1], string(defs))
}
