package plan

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

// AddAccounts adds users or groups to /etc/passwd or /etc/group. The other lines stay as they are.
type AddAccounts struct {
	File  string   `json:"file"`
	Lines []string `json:"lines"` // of passwd(5) or group(5)
}

// Kind implements Step.
func (AddAccounts) Kind() string { return "AddAccounts" }

// Describe implements Step.
func (s AddAccounts) Describe() string {
	names := make([]string, len(s.Lines))
	for i, line := range s.Lines {
		names[i] = accounts.Name(line)
	}
	return fmt.Sprintf("add %s to %s", strings.Join(names, ", "), s.File)
}

// Where is the file.
func (s AddAccounts) Where() string { return s.File }

// Compare implements Step.
func (s AddAccounts) Compare(h Host) Work {
	seen := h.Look(s.File)
	if seen.Kind != Regular {
		return Work{State: Unknown, Detail: fmt.Sprintf("it is %s %s", seen.Kind, seen.Error)}
	}
	w := Work{State: Unchanged}
	var missing []string
	for _, line := range s.Lines {
		made := Made{Kind: MadeLine, Path: s.File + ":" + accounts.Name(line), SHA256: sum([]byte(line))}
		there, problem := lineOf(string(seen.Data), line)
		o, ours := h.Owned(made.Path)
		switch {
		case problem != "":
			return Work{State: Conflict, Refused: NotOurs, Detail: problem, Hint: "run it again: it chooses other IDs"}
		case !there:
			missing = append(missing, line)
			w.Makes = append(w.Makes, made)
		case ours && !o.Done && o.Wrote(made.SHA256): // we were killed after adding it
			w.Makes = append(w.Makes, o.Made)
		}
	}
	if len(missing) > 0 {
		w.State = New
		w.Do = func(ctx context.Context, _ *Node) (Outcome, error) {
			return Outcome{}, editAccounts(ctx, s.File, func(text string) (string, error) { return addLines(text, missing) })
		}
	}
	return w
}

// lineOf says whether a file has a line, or why it cannot have it: another one with its name or ID is there.
func lineOf(text, line string) (there bool, problem string) {
	id, _ := accounts.ID(line)
	for other := range strings.Lines(text) {
		other = strings.TrimRight(other, "\n")
		if other == line {
			return true, ""
		}
		if accounts.Name(other) == accounts.Name(line) {
			return false, fmt.Sprintf("there is another entry %s", accounts.Name(line))
		}
		if n, ok := accounts.ID(other); ok && n == id {
			return false, fmt.Sprintf("the ID %d of %s is %s's", id, accounts.Name(line), accounts.Name(other))
		}
	}
	return false, ""
}

func addLines(text string, lines []string) (string, error) {
	for _, line := range lines {
		there, problem := lineOf(text, line)
		if problem != "" {
			return "", errors.New(problem)
		}
		if there {
			continue
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += line + "\n"
	}
	return text, nil
}

// removeLine removes the line of a MadeLine ("FILE:NAME") if it is as we wrote it.
func removeLine(ctx context.Context, path string, wrote func(sum string) bool) error {
	i := strings.LastIndexByte(path, ':')
	file, name := path[:i], path[i+1:]
	return editAccounts(ctx, file, func(text string) (string, error) {
		var out strings.Builder
		for line := range strings.Lines(text) {
			switch bare := strings.TrimRight(line, "\n"); {
			case accounts.Name(bare) != name:
				out.WriteString(line)
			case !wrote(sum([]byte(bare))):
				return "", &leftError{why: changedByHand}
			}
		}
		return out.String(), nil
	})
}

// isAccount says whether a path is a line of one of the host's two files that AddAccounts changes.
func isAccount(path, root string) bool {
	file, name, ok := strings.Cut(path, ":")
	return ok && name != "" && root == "" && (file == "/etc/passwd" || file == "/etc/group")
}

// accountsLock is what useradd, systemd-sysusers and all others hold who change the files beside it (lckpwdf(3)),
// and for how long they wait.
const (
	accountsLock     = ".pwd.lock"
	accountsPatience = 15 * time.Second
)

// editAccounts changes a file that has users in it, as a whole and with nobody else at it.
func editAccounts(ctx context.Context, file string, edit func(text string) (string, error)) error {
	unlock, err := lockAccounts(ctx, filepath.Join(filepath.Dir(file), accountsLock))
	if err != nil {
		return fmt.Errorf("cannot change %s: %w", file, err)
	}
	defer unlock()
	data, mode, err := readAccounts(file)
	if err != nil {
		return fmt.Errorf("cannot change %s: %s", file, cause(err))
	}
	text, err := edit(string(data))
	if left := (*leftError)(nil); errors.As(err, &left) {
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

// Own gives a file or directory to a user, as kubeadm does for RootlessControlPlane.
type Own struct {
	Path string      `json:"path"`
	UID  int64       `json:"uid"`
	GID  int64       `json:"gid"`
	Mode fs.FileMode `json:"mode"`
	Tree bool        `json:"tree,omitempty"` // with all that is in it, whose modes stay
	// To is whom it is given to, in words; For are the pods that need it.
	To  string   `json:"to"`
	For []string `json:"for,omitempty"`
}

// Kind implements Step.
func (Own) Kind() string { return "Own" }

// Describe implements Step.
func (s Own) Describe() string { return fmt.Sprintf("give %s to %s (%04o)", s.Path, s.To, s.Mode) }

// Where is the path.
func (s Own) Where() string { return s.Path }

// Compare implements Step. What is there and not ours is given back by reset.
func (s Own) Compare(h Host) Work {
	seen := h.Look(s.Path)
	w := Work{State: New, Do: func(_ context.Context, n *Node) (Outcome, error) {
		return Outcome{}, give(n.Root, s.Path, Made{UID: s.UID, GID: s.GID, Mode: s.Mode}, s.Tree)
	}}
	switch seen.Kind {
	case Absent: // it will be there: the step is done after those that make it
		return w
	case Regular, Directory:
	case Unreadable:
		return Work{State: Unknown, Detail: seen.Error}
	default:
		return Work{State: Conflict, Refused: NotOurs, Detail: fmt.Sprintf("it is a %s", seen.Kind)}
	}
	inside := Seen{Kind: Absent}
	if s.Tree {
		inside = h.Look(s.Path + "/member")
	}
	if s.is(seen) && seen.Mode == s.Mode && (inside.Kind != Directory || s.is(inside)) {
		return Work{State: Unchanged}
	}
	if _, ours := h.Owned(s.Path); !ours {
		made := Made{Kind: MadeOwner, Path: s.Path + ownerSuffix, UID: seen.UID, GID: seen.GID, Mode: seen.Mode}
		if _, known := h.Owned(made.Path); !known {
			w.Makes = []Made{made}
		}
	}
	w.State, w.Detail = Changed, fmt.Sprintf("it is user %d's, group %d's (%04o)", seen.UID, seen.GID, seen.Mode)
	return w
}

func (s Own) is(seen Seen) bool { return seen.UID == s.UID && seen.GID == s.GID }

// ownerSuffix tells the owner of a file from the file, in the journal.
const ownerSuffix = "@owner"

// give changes owner and mode of a path below root, and with tree the owner of all that is in it but lost+found.
func give(root, path string, to Made, tree bool) error {
	if root == "" { // the host's own links are followed, as everywhere
		resolved, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("cannot give away %s: %s", path, cause(err))
		}
		path = resolved
	}
	e, err := (&remover{root: root}).open(path)
	if err != nil {
		return fmt.Errorf("cannot give away %s: %s", path, cause(err))
	}
	defer e.dir.Close()
	if err := giveOne(e, to); err != nil {
		return fmt.Errorf("cannot give away %s: %s", path, cause(err))
	}
	if !tree {
		return nil
	}
	sub, err := e.dir.OpenRoot(e.name)
	if err != nil {
		return fmt.Errorf("cannot give away what is in %s: %w", path, err)
	}
	defer sub.Close()
	err = fs.WalkDir(sub.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if name == "lost+found" && d.IsDir() {
			return fs.SkipDir
		}
		if err != nil || name == "." {
			return err
		}
		return sub.Lchown(name, int(to.UID), int(to.GID))
	})
	if err != nil {
		return fmt.Errorf("cannot give away what is in %s: %w", path, err)
	}
	return nil
}

// giveOne works on a descriptor, so that no link is followed. The mode has permission bits only: a setuid bit
// would come from a journal that kubecrank has not written.
func giveOne(e entry, to Made) error {
	dir, err := e.dir.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, err := unix.Openat(int(dir.Fd()), e.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		return errors.New("it is a symbolic link")
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), e.name)
	defer f.Close()
	if err := f.Chown(int(to.UID), int(to.GID)); err != nil {
		return err
	}
	return f.Chmod(to.Mode.Perm())
}

// giveBack gives a path to whom it was before a MadeOwner, if it is still there.
func giveBack(root string, m Made) error {
	path := strings.TrimSuffix(m.Path, ownerSuffix)
	if _, err := os.Lstat(path); gone(err) {
		return nil
	}
	return give(root, path, m, false)
}
