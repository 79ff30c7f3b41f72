package diagnose

import "fmt"

// refused are the kernel's words for what may not be written.
const refused = `permission denied|read-only file system|not a directory|operation not permitted`

// diskCauses are about the file system that etcd's data is on.
func diskCauses() []Cause {
	return []Cause{
		{
			Name: "disk-full", Summary: "the file system is full, or has no inodes left",
			Signs: []string{
				`no space left on device.*\bpath=(?P<path>/[^ )]+)`,
				`(?P<path>/\S+): no space left on device`,
				`no space left on device`,
			},
			Look:    diskFull,
			Explain: "{mount}, where {path} is, {had} no room: {free} of {size} are free{why}",
			Remedy:  "make room: 'du -xh {mount} | sort -h | tail' shows what takes it; the pod is then started again by itself",
		},
		{
			Name: "data-not-writable", Summary: "etcd may not write its data directory",
			Programs: []string{etcd},
			Signs: []string{
				`cannot access data directory: \w+ (?P<path>/[^:]+): (?P<why>` + refused + `)`,
				`failed to list data directory: \w+ (?P<path>/[^:]+): (?P<why>` + refused + `)`,
				`failed to (?:open|create) (?:database|WAL|snapshot directory).* (?P<path>/[^:]+): (?P<why>` + refused + `)`,
			},
			Look:    dataNotWritable,
			Explain: "etcd cannot use its data directory {path}: {why}{who}",
			Remedy:  "{mend}",
		},
		{
			Name: "disk-slow", Summary: "writes to etcd's disk take too long",
			Programs: []string{etcd},
			Signs: []string{
				`slow fdatasync.*\btook=(?P<took>[^ )]+)`,
				`leader failed to send out heartbeat on time.* slow disk.*\bexceeded-duration=(?P<took>[^ )]+)`,
			},
			Look:    func(Evidence, Values) Certainty { return Probable },
			Explain: "etcd's disk is slow: bringing what was written to {dataDir} onto the disk took {took}; it should take 10 ms",
			Remedy:  "put {dataDir} on a faster disk, or take other load off this one: 'iostat -x 1' shows who is busy",
		},
	}
}

// enough is how much room a component needs to start: etcd allocates a segment of its log, 64 MB, in advance, and the next one.
const enough = 128_000_000

func diskFull(e Evidence, v Values) Certainty {
	path := e.Flags["data-dir"]
	if path == "" {
		path = v["path"]
	}
	p, looked := e.Paths[path]
	v["path"], v["mount"], v["had"], v["why"] = path, p.Mount, "has", ""
	if !looked || p.Mount == "" {
		v["path"], v["mount"], v["free"], v["size"] = "what it writes", "the file system", "?", "?"
		return Probable
	}
	v["free"], v["size"] = amount(p.Free), amount(p.Size)
	switch {
	case p.NoInodes:
		v["why"] = ", but no inode is"
	case p.Free >= enough: // somebody has made room, or there is a quota
		v["had"], v["why"] = "had", " now"
		return Probable
	case e.Program == etcd:
		v["why"] = "; etcd allocates 64 MB at a time"
	}
	return Certain
}

// amount is an amount for people.
func amount(n uint64) string {
	for _, unit := range []struct {
		name string
		size uint64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

func dataNotWritable(e Evidence, v Values) Certainty {
	dir := e.Flags["data-dir"]
	p := e.Paths[dir]
	user := "the user that etcd runs as"
	if e.RunAs != nil {
		user = fmt.Sprint(*e.RunAs)
	}
	v["who"], v["path"] = "", dir
	switch v["why"] {
	case "read-only file system":
		v["mend"] = "'mount -o remount,rw " + p.Mount + "'; 'dmesg | tail' shows whether the kernel made it read-only after an error"
		if !p.ReadOnly {
			return Passing
		}
	case "not a directory":
		v["mend"] = "'mv " + dir + " " + dir + ".old': etcd makes the directory itself"
		if p.Dir {
			return Passing
		}
	default:
		if p.Mode != "" {
			v["who"] = fmt.Sprintf("; it belongs to user %d (%s), and etcd runs as %s", p.UID, p.Mode, user)
		}
		if e.RunAs == nil {
			user = "USER"
		}
		v["mend"] = "'chown -R " + user + " " + dir + " && chmod 0700 " + dir + "', and let that user into the directories above it"
	}
	return Certain
}
