package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/kubecrank/kubecrank/phases/accounts"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
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
func (s AddAccounts) Compare(h plan.Host) plan.Work {
	seen := h.Look(s.File)
	if seen.Kind != resource.Regular {
		return plan.Work{State: plan.Unknown, Detail: fmt.Sprintf("it is %s %s", seen.Kind, seen.Error)}
	}
	w := plan.Work{State: plan.Unchanged}
	var missing []string
	for _, line := range s.Lines {
		made := resource.Claim{Resource: resource.LineOf(s.File, line), SHA256: resource.Sum([]byte(line))}
		there, problem := lineOf(string(seen.Data), line)
		o, ours := h.Claim(made.Resource)
		switch {
		case problem != "":
			return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: problem, Hint: "run it again: it chooses other IDs"}
		case !there:
			missing = append(missing, line)
			w.Makes = append(w.Makes, made)
		case ours && !o.Done && o.Wrote(made.SHA256): // we were killed after adding it
			w.Makes = append(w.Makes, o)
		}
	}
	if len(missing) > 0 {
		w.State = plan.New
		w.Do = func(ctx context.Context, _ *plan.Node) (plan.Outcome, error) {
			return plan.Outcome{}, resource.EditAccounts(ctx, s.File, func(text string) (string, error) { return addLines(text, missing) })
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
func (s Own) Compare(h plan.Host) plan.Work {
	seen := h.Look(s.Path)
	w := plan.Work{State: plan.New, Do: func(_ context.Context, n *plan.Node) (plan.Outcome, error) {
		return plan.Outcome{}, resource.Give(n.Root, s.Path, resource.Claim{UID: s.UID, GID: s.GID, Mode: s.Mode}, s.Tree)
	}}
	switch seen.Kind {
	case resource.Absent: // it will be there: the step is done after those that make it
		return w
	case resource.Regular, resource.Directory:
	case resource.Unreadable:
		return plan.Work{State: plan.Unknown, Detail: seen.Error}
	default:
		return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: fmt.Sprintf("it is a %s", seen.Kind)}
	}
	given := s.is(seen) && seen.Mode == s.Mode
	for _, name := range seen.Names {
		inside := h.Look(filepath.Join(s.Path, name))
		there := inside.Kind != resource.Absent && inside.Kind != resource.Unreadable
		given = given && (!s.Tree || !there || name == lostAndFound || s.is(inside))
	}
	if given {
		return plan.Work{State: plan.Unchanged}
	}
	if _, ours := h.At(s.Path); !ours {
		owner := resource.Resource{Kind: resource.Owner, Key: s.Path}
		made := resource.Claim{Resource: owner, UID: seen.UID, GID: seen.GID, Mode: seen.Mode}
		if _, known := h.Claim(made.Resource); !known {
			w.Makes = []resource.Claim{made}
		}
	}
	w.State, w.Detail = plan.Changed, fmt.Sprintf("it is user %d's, group %d's (%04o)", seen.UID, seen.GID, seen.Mode)
	return w
}

// lostAndFound belongs to the file system: it is not given away.
const lostAndFound = "lost+found"

func (s Own) is(seen resource.Seen) bool { return seen.UID == s.UID && seen.GID == s.GID }
