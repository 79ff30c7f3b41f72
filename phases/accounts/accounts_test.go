package accounts

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// The IDs and lines are those that kubeadm's AddUsersAndGroups makes of the same files.
func TestChoose(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/bash\n_apt:x:100:65534::/nonexistent:/usr/sbin/nologin\n\n# no user\n+\n" +
		"x:x:102:65534::/:/bin/false\n"
	const group = "root:x:0:\nssh:x:101:\n"
	s, err := Choose(passwd, group, "")
	if err != nil {
		t.Fatal(err)
	}
	users := []string{"kubeadm-etcd:x:101:100:::/bin/false", "kubeadm-kas:x:103:102:::/bin/false", "kubeadm-kcm:x:104:103:::/bin/false",
		"kubeadm-ks:x:105:104:::/bin/false"}
	groups := []string{"kubeadm-etcd:x:100:kubeadm-etcd", "kubeadm-kas:x:102:kubeadm-kas", "kubeadm-kcm:x:103:kubeadm-kcm",
		"kubeadm-ks:x:104:kubeadm-ks", "kubeadm-sa-key-readers:x:105:kubeadm-kas,kubeadm-kcm"}
	if got := Lines(s.Users); !reflect.DeepEqual(got, users) {
		t.Errorf("users are %q", got)
	}
	if got := Lines(s.Groups); !reflect.DeepEqual(got, groups) {
		t.Errorf("groups are %q", got)
	}
	m := s.Manifests()
	if m.Scheduler.UID != 105 || m.Scheduler.GID != 104 || m.KeyReaders != 105 {
		t.Errorf("manifests get %+v", m)
	}
	// What is there is taken as it is.
	again, err := Choose(passwd+strings.Join(users, "\n"), group+strings.Join(groups, "\n")+"\n", "")
	if err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("%+v, %v", again, err)
	}
	if (Set{}).Manifests() != nil {
		t.Error("without the feature gate there are users")
	}
}

func TestChooseHoldsLimits(t *testing.T) {
	const defs = "# SYS_UID_MIN 5\nSYS_UID_MIN\t\t  201\nSYS_UID_MAX 204\nSYS_GID_MIN 300 # more\nSYS_GID_MAX 304\nSYS_GID_MIN_NOT 7\n"
	s, err := Choose("", "", defs)
	if err != nil || s.Users[0].ID != 201 || s.Users[3].ID != 204 || s.Groups[4].ID != 304 {
		t.Errorf("%+v, %v", s, err)
	}
	const etcd = "kubeadm-etcd:x:300:kubeadm-etcd\n"
	for name, test := range map[string]struct{ passwd, group, want string }{
		"no user ID is free":    {passwd: "x:x:203:0:::/bin/sh", want: "kubeadm-ks of /etc/passwd: no ID from 201 to 204 is free"},
		"no group ID is free":   {group: "x:x:302:", want: "kubeadm-sa-key-readers of /etc/group: no ID from 300 to 304 is free"},
		"a person's user":       {passwd: "kubeadm-etcd:x:1000:300:::/bin/false", group: etcd, want: "its ID 1000 is none of the system's"},
		"a user with a shell":   {passwd: "kubeadm-etcd:x:201:300:::/bin/sh", group: etcd, want: "its shell is not /bin/false"},
		"a user of other's":     {passwd: "kubeadm-etcd:x:201:27:::/bin/false", group: etcd, want: "its group is 27, and not the group kubeadm-etcd"},
		"a person's group":      {group: "kubeadm-etcd:x:27:kubeadm-etcd", want: "its ID 27 is none of the system's"},
		"a group with a friend": {group: "kubeadm-etcd:x:300:kubeadm-etcd,eve", want: "its members are kubeadm-etcd,eve, not kubeadm-etcd"},
		"a group of nobody":     {group: "kubeadm-etcd:x:300:", want: "its members are nobody, not kubeadm-etcd"},
	} {
		_, err := Choose(test.passwd, test.group, defs)
		var problem *Error
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Below a root the numbers are the same each time, others for another root, and within what the namespace has.
func TestBelow(t *testing.T) {
	const all = 1 << 32
	a, b := Below("/srv/a", all), Below("/srv/b", all)
	if !reflect.DeepEqual(a, Below("/srv/a", all)) || a.Users[0].ID == b.Users[0].ID {
		t.Errorf("%+v, %+v", a, b)
	}
	seen := map[int64]bool{}
	for _, g := range a.Groups {
		if seen[g.ID] || g.ID < wideFirst || g.ID >= wideFirst+wideSize || g.Line != "" {
			t.Errorf("group %+v", g)
		}
		seen[g.ID] = true
	}
	for _, g := range Below("/srv/a", 65536).Groups {
		if g.ID < narrowFirst || g.ID >= narrowFirst+narrowSize {
			t.Errorf("in a small namespace there is group %+v", g)
		}
	}
}
