package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/phases/accounts"
)

// LineOf is the user or group of a line of passwd(5) or group(5).
func LineOf(file, line string) Resource { return Resource{Line, file + ":" + accounts.Name(line)} }

// lineHandler removes a user or group if its line is still as we wrote it.
func lineHandler() handler {
	return handler{
		describe: func(key string) string {
			file, name, _ := strings.Cut(key, ":")
			return fmt.Sprintf("remove %s from %s", name, file)
		},
		check: func(root string, c Claim) error {
			file, name, ok := strings.Cut(c.Key, ":")
			if ok && name != "" && root == "" && (file == "/etc/passwd" || file == "/etc/group") {
				return nil
			}
			return fmt.Errorf("path %q is no line of the host's passwd or group", c.Key)
		},
		compare: func(Claim, func(string) Seen) Finding { return Finding{Condition: Present} },
		undo: func(ctx context.Context, _ string, c Claim) error {
			file, name, _ := strings.Cut(c.Key, ":")
			return EditAccounts(ctx, file, func(text string) (string, error) { return withoutLine(text, name, c) })
		},
	}
}

func withoutLine(text, name string, c Claim) (string, error) {
	var out strings.Builder
	for line := range strings.Lines(text) {
		switch bare := strings.TrimRight(line, "\n"); {
		case accounts.Name(bare) != name:
			out.WriteString(line)
		case !c.Wrote(Sum([]byte(bare))):
			return "", &LeftError{Why: ChangedByHand}
		}
	}
	return out.String(), nil
}

// accountsLock is what useradd, systemd-sysusers and all others hold who change the files beside it (lckpwdf(3)),
// and for how long they wait.
const (
	accountsLock     = ".pwd.lock"
	accountsPatience = 15 * time.Second
)

// EditAccounts changes a file that has users in it, as a whole and with nobody else at it.
func EditAccounts(ctx context.Context, file string, edit func(text string) (string, error)) error {
	unlock, err := lockAccounts(ctx, filepath.Join(filepath.Dir(file), accountsLock))
	if err != nil {
		return fmt.Errorf("cannot change %s: %w", file, err)
	}
	defer unlock()
	data, mode, err := readAccounts(file)
	if err != nil {
		return fmt.Errorf("cannot change %s: %s", file, Cause(err))
	}
	text, err := edit(string(data))
	if left := (*LeftError)(nil); errors.As(err, &left) {
		return err
	}
	if err != nil {
		return fmt.Errorf("cannot change %s: %w", file, err)
	}
	if text == string(data) {
		return nil
	}
	label, labeled := securityLabel(file)
	if err := durable.WriteFile(file, []byte(text), mode); err != nil {
		return err
	}
	if labeled {
		if err := unix.Setxattr(file, labelName, label, 0); err != nil {
			return fmt.Errorf("cannot give %s its security label: %w", file, err)
		}
	}
	return nil
}

// readAccounts reads a file with users in it, and follows no link: the new one would take the link's place.
func readAccounts(file string) (data []byte, mode fs.FileMode, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, 0, errors.New("it is a symbolic link")
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return nil, 0, err
	}
	data, err = io.ReadAll(f)
	return data, info.Mode().Perm(), err
}

// With SELinux the new file would have its directory's label, and nobody could log in any more.
const labelName = "security.selinux"

func securityLabel(file string) (label []byte, ok bool) {
	buffer := make([]byte, 256)
	n, err := unix.Getxattr(file, labelName, buffer)
	return buffer[:max(n, 0)], err == nil && n > 0
}

func lockAccounts(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock it: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, accountsPatience)
	defer cancel()
	for {
		err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if err == nil {
			return func() { _ = f.Close() }, nil // that releases it
		}
		again := time.NewTimer(20 * time.Millisecond)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			_ = f.Close()
			return nil, fmt.Errorf("cannot lock it: another program has %s locked: %w", path, err)
		}
	}
}
