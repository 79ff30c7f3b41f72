package diagnose

import (
	"regexp"
	"strings"
)

// etcdCauses are about what is in etcd's data directory.
func etcdCauses() []Cause {
	start := "'mv {dataDir} {dataDir}.old' and '{kubecrank} init' start with no data at all"
	return []Cause{
		{
			Name: "other-cluster", Summary: "the data directory, or a peer, belongs to another etcd cluster",
			Programs: []string{etcd},
			Signs: []string{
				`request sent was ignored.* cluster ID mismatch`, `member count is unequal`, `unmatched member while checking PeerURLs`,
				`(?P<why>couldn't find local name "[^"]*" in the initial cluster configuration)`,
				`(?P<why>member \w+ has already been bootstrapped)`,
				`request cluster ID mismatch`,
			},
			Look: func(_ Evidence, v Values) Certainty {
				if strings.Contains(v["line"], "request cluster ID mismatch") {
					return Probable // it may be the other one that is wrong here
				}
				return Certain
			},
			Explain: "the data in {dataDir} and the members of --initial-cluster are not of one etcd cluster",
			Remedy: "give each member the data of its own cluster ('etcdutl --help' and {manifest} say which that is); " +
				"if nobody needs this member's data, " + start,
		},
		{
			Name: "removed-member", Summary: "the data directory is that of a member which the cluster does not have any more",
			Programs: []string{etcd},
			Signs:    []string{`member has been permanently removed from the cluster`},
			Explain:  "the data in {dataDir} is of a member that the etcd cluster does not have (any more)",
			Remedy:   "add the machine as a new member, with an empty data directory: 'mv {dataDir} {dataDir}.old'",
		},
		{
			Name: "corrupt-wal", Summary: "etcd's write-ahead log is damaged",
			Programs: []string{etcd},
			Signs: []string{
				`(?P<why>walpb: crc mismatch)`, `failed to (?:open|read|repair) WAL.*?: (?P<why>[^()]*)`,
				`(?:bootstrap|discovery) failed: (?P<why>proto: .*|unexpected EOF|wal: .*)`,
				`^panic: (?P<why>cannot use none as id)`,
			},
			Look:    damaged,
			Explain: "etcd cannot read its write-ahead log, {dataDir}/member/wal: {why}",
			Remedy:  "restore a snapshot ('etcdutl snapshot restore FILE --data-dir {dataDir}'); without one, " + start,
		},
		{
			Name: "corrupt-database", Summary: "etcd's database file is damaged",
			Programs: []string{etcd},
			Signs: []string{
				`^panic: (?P<why>assertion failed: .*)`, `failed to open database: (?P<why>[^()]*)`,
				`(?P<why>both meta pages are invalid)`, `failed to get page size from db file \S+: (?P<why>.*)`,
				`^panic: (?P<why>(?:page|freelist|invalid freelist|freepages|cursor|bucket).*)`,
				`(?P<why>checkInitialHashKV failed|found data inconsistency with peers.*)`,
			},
			Look:    damaged,
			Explain: "etcd cannot read its database, {dataDir}/member/snap/db: {why}",
			Remedy:  "restore a snapshot ('etcdutl snapshot restore FILE --data-dir {dataDir}'); without one, " + start,
		},
		{
			Name: "etcd-quota", Summary: "etcd's database has reached --quota-backend-bytes",
			Signs:   []string{`database space exceeded`},
			Explain: "etcd takes no more writes: its database has reached its quota (--quota-backend-bytes, 2 GiB if it is not set)",
			Remedy: "compact and defragment it ('etcdctl compact', 'etcdctl defrag', 'etcdctl alarm disarm'), " +
				"or raise the quota in etcd's manifest",
		},
	}
}

// damaged leaves out what is not about the content of a file.
func damaged(_ Evidence, v Values) Certainty {
	v["why"] = strings.TrimSpace(v["why"])
	other := regexp.MustCompile(`permission denied|no space left|too many open files|read-only file system|no such file|input/output error`)
	if other.MatchString(v["why"]) {
		return ""
	}
	return Certain
}
