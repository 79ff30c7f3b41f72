package facts

import (
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/accounts"
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
		return accounts.Below(cfg.Root, mappedIDs()), nil
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

// mappedIDs is how many user IDs, counted from 0, this process's user namespace has (user_namespaces(7)).
func mappedIDs() uint64 {
	fields := strings.Fields(firstLine("/proc/self/uid_map"))
	if len(fields) != 3 || fields[0] != "0" {
		return math.MaxUint32
	}
	n, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return math.MaxUint32
	}
	return n
}
