package process

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/procfs"
)

// markerVar is the one environment variable of ours in a container:
//
//	KUBECRANK_CONTAINER=<root hash>/<namespace>/<pod>/<uid>/<container>/<restart count>/<spec hash>/<seal>
//
// Descendants inherit it; commands that Exec runs have "/exec/<n>" behind it.
const markerVar = "KUBECRANK_CONTAINER"

// marker is the value of markerVar, taken apart.
type marker struct {
	root, namespace, pod, uid, container string
	restart                              int
	specHash                             string
	// seal is "<user>.<ticks>.<MAC>": whom the process was started as, not before when, and the proof that we wrote all of
	// this: everything else in a marker is known to everybody. It is "" in one of an earlier version.
	seal string
}

func (m marker) String() string {
	s := strings.Join([]string{m.root, m.namespace, m.pod, m.uid, m.container, strconv.Itoa(m.restart), m.specHash}, "/")
	if m.seal == "" {
		return s
	}
	return s + "/" + m.seal
}

// parseMarker takes the marker of a container's own process apart; that of an Exec is not one.
func parseMarker(s string) (marker, bool) {
	f := strings.Split(s, "/")
	if len(f) != 7 && (len(f) != 8 || f[7] == "") {
		return marker{}, false
	}
	restart, err := strconv.Atoi(f[5])
	if err != nil || restart < 0 || strconv.Itoa(restart) != f[5] { // no "+1", no "01"
		return marker{}, false
	}
	m := marker{root: f[0], namespace: f[1], pod: f[2], uid: f[3], container: f[4], restart: restart, specHash: f[6]}
	for _, name := range []string{m.namespace, m.pod, m.uid, m.container} {
		if checkName(name) != nil {
			return marker{}, false
		}
	}
	if len(f) == 8 {
		m.seal = f[7]
	}
	return m, true
}

// covers tells whether a process with that marker belongs to the container with marker m.
func covers(m, other string) bool {
	return other == m || strings.HasPrefix(other, m+"/")
}

// checkName holds for what becomes a part of paths and of the marker. Names with a dot in front are ours.
func checkName(name string) error {
	if name == "" || name[0] == '.' || len(name) > 253 || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q cannot be a file name", name)
	}
	return nil
}

// readMarker returns the marker in a process's environment; "" when there is none, or when we may not look: then
// it is not ours.
func readMarker(pid int) string {
	value, err := procfs.Getenv(pid, markerVar)
	if err != nil {
		return ""
	}
	return value
}

// sealKey seals markers. It never leaves the state directory.
type sealKey []byte

const sealKeySize = 32

// readSealKey reads the key of a state directory, and makes it if there is none. Of two that do so at once, both get the same.
func readSealKey(stateDir string) (sealKey, error) {
	path := filepath.Join(stateDir, ".seal-key")
	for range 2 {
		key, err := os.ReadFile(path)
		if err == nil && len(key) == sealKeySize {
			return key, checkSealKey(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot read the key of container markers: %w", err)
		}
		if err == nil { // cut short when the machine went down, and with it all that was sealed
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("cannot replace the key of container markers: %w", err)
			}
		}
		if err := makeSealKey(path); err != nil {
			return nil, fmt.Errorf("cannot make the key of container markers: %w", err)
		}
	}
	return nil, fmt.Errorf("cannot read the key of container markers: %s is not %d bytes long", path, sealKeySize)
}

// checkSealKey refuses a key that others know.
func checkSealKey(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("cannot read the key of container markers: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		return hinted{
			error: fmt.Errorf("cannot use the key of container markers: %s is not this user's alone", path),
			hint:  "remove it: another one is made, and containers are then known by their records",
		}
	}
	return nil
}

func makeSealKey(path string) error {
	key := make([]byte, sealKeySize)
	_, _ = rand.Read(key) // never fails
	tmp := path + "." + strconv.Itoa(os.Getpid())
	if err := durable.WriteFile(tmp, key, 0o600); err != nil {
		return err
	}
	err := os.Link(tmp, path) // unlike a rename, it replaces nothing
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(tmp))
}

// seal returns the marker with its seal, for a process of that user that is started from now on.
func (k sealKey) seal(m marker, user int) marker {
	var now uint64
	if up, err := procfs.Uptime(); err == nil {
		now = uint64(up / procfs.Tick)
	}
	m.seal = fmt.Sprintf("%d.%d", user, now)
	m.seal += "." + k.mac(m)
	return m
}

// mac is that of a marker whose seal has none yet.
func (k sealKey) mac(m marker) string {
	h := hmac.New(sha256.New, k)
	h.Write([]byte(m.String()))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// startWindow is how long after its marker was sealed a process may have been started.
const startWindow = uint64(time.Minute / procfs.Tick)

// open checks the seal of a marker, and returns who started when at the earliest.
func (k sealKey) open(m marker) (user int, since uint64, ok bool) {
	f := strings.Split(m.seal, ".")
	if len(f) != 3 {
		return 0, 0, false
	}
	bare := m
	bare.seal = f[0] + "." + f[1]
	if !hmac.Equal([]byte(f[2]), []byte(k.mac(bare))) {
		return 0, 0, false
	}
	user, err := strconv.Atoi(f[0])
	since, sinceErr := strconv.ParseUint(f[1], 10, 64)
	return user, since, err == nil && sinceErr == nil
}

// runsFor tells whether a process is a user's, or of one whom root's container made: root may become anybody.
func runsFor(pid, user int) bool { return user == 0 || runsExactlyFor(pid, user) }

func runsExactlyFor(pid, user int) bool {
	status, err := procfs.ReadStatus(pid)
	if err != nil {
		return false
	}
	ids, err := status.UIDs()
	return err == nil && ids[0] == user
}
