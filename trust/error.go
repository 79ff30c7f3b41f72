package trust

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Cause is the rule that a component breaks.
type Cause string

// The causes of an Error.
const (
	Owner    Cause = "owner"    // it belongs to a user who is not believed
	Writable Cause = "writable" // its group, or everybody, may write to it
)

// Error is a path that cannot be trusted, and the component that is to blame.
type Error struct {
	Path     string // that was asked for
	At       string // the component
	UID, GID uint32 // of At
	Mode     uint32 // of At: permission bits, with setuid, setgid and sticky
	IsLink   bool
	Parent   bool // At is a directory on the way to Path
	Cause    Cause
}

func (e *Error) Error() string {
	what := e.At
	if e.IsLink {
		what = "the symbolic link " + e.At
	}
	whose := fmt.Sprintf("it belongs to %s, mode %04o", e.owner(), e.Mode)
	if e.Cause == Writable {
		return fmt.Sprintf("cannot trust %s: %s; %s can change what kubecrank would believe there", what, whose, e.writers())
	}
	return fmt.Sprintf("cannot trust %s: %s, and not to root or to you (UID %d)", what, whose, os.Geteuid())
}

// Hint says what to do next.
func (e *Error) Hint() string {
	if e.Cause == Writable && e.Parent && e.Mode&0o002 != 0 {
		return fmt.Sprintf("chmod +t %s, when everybody is to share it, as /tmp; or else chmod go-w %s", e.At, e.At)
	}
	if e.Cause == Writable {
		return fmt.Sprintf("chmod go-w %s, when you have seen that nobody else has put anything there", e.At)
	}
	chown := "chown"
	if e.IsLink {
		chown = "chown -h"
	}
	return fmt.Sprintf("run it as that user: sudo -u %s kubecrank ...; or, when all that is in it is yours: %s %d %s; "+
		"or, when you trust that user with all your rights: --trust-owner %d", e.sudoUser(), chown, os.Geteuid(), e.At, e.UID)
}

// owner is the name and UID of the component's owner.
func (e *Error) owner() string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(e.UID), 10)); err == nil {
		return fmt.Sprintf("%s (UID %d)", u.Username, e.UID)
	}
	return fmt.Sprintf("UID %d", e.UID)
}

// sudoUser is the owner as sudo -u takes it.
func (e *Error) sudoUser() string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(e.UID), 10)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("'#%d'", e.UID)
}

// writers are those who may write to the component.
func (e *Error) writers() string {
	if e.Mode&0o002 != 0 {
		return "every user"
	}
	if g, err := user.LookupGroupId(strconv.FormatUint(uint64(e.GID), 10)); err == nil {
		return fmt.Sprintf("its group %s (GID %d)", g.Name, e.GID)
	}
	return fmt.Sprintf("its group (GID %d)", e.GID)
}
