package process

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/runtime"
)

// Garbage in a container's record is an error or a record that can be used: it names one process beyond doubt, and no path
// outside of the state directory. The checksum is left out: a fuzzer does not get past it.
func FuzzRecord(f *testing.F) {
	r := &Runtime{root: "0123456789abcdef", opts: Options{StateDir: "/state"}}
	good, err := json.Marshal(record{Version: recordVersion, Root: r.root, BootID: "b", Namespace: "default", Pod: "a-node1", UID: "u",
		Container: "main", SpecHash: "h", PID: 77, Start: 5, LogPath: "/var/log/pods/default_a-node1_u/main/0.log",
		User: &user{UID: 1, Groups: []uint32{2}}, Exit: &runtime.Exit{Code: -1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(strings.ReplaceAll(string(good), `"main"`, `"../../x"`)))
	f.Add([]byte(strings.ReplaceAll(string(good), `77`, `-1`)))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := json.Marshal(recordFile{Sum: checksum(data), Record: data})
		if err != nil {
			file = data // no JSON: as it is
		}
		rec, err := decodeRecord(file)
		if err != nil || r.checkRecord(rec, rec.UID, rec.Container) != nil {
			return
		}
		if rec.PID < 2 {
			t.Errorf("it names process %d", rec.PID)
		}
		if path := r.recordPath(rec.UID, rec.Container); filepath.Clean(path) != path || !strings.HasPrefix(path, "/state/") {
			t.Errorf("it lies in %s", path)
		}
		if m, ok := parseMarker(rec.marker().String()); !ok || m != rec.marker() {
			t.Errorf("its marker is %q", rec.marker())
		}
	})
}

// A marker is read as what it was made of, or not at all: no two containers have one in common.
func FuzzMarker(f *testing.F) {
	f.Add("0123456789abcdef/default/a-node1/uid/main/0/hash")
	f.Add("r/n/p/u/c/+5/h")
	f.Add("r/n/../u/c/1/h")
	f.Add("r/n/p/u/c/1/h/exec/3")
	f.Fuzz(func(t *testing.T, s string) {
		if m, ok := parseMarker(s); ok && m.String() != s {
			t.Errorf("%q is read as %q", s, m)
		}
	})
}
