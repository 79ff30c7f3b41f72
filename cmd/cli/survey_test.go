package cli

import (
	"os"
	"testing"

	"github.com/kubecrank/kubecrank/runtime/process"
)

// Another user's claim to be a container of this root is named, but keeps no init and no reset from its end.
func TestClaimOfAnotherUser(t *testing.T) {
	t.Parallel()
	claim := process.Claim{PID: 4711, UID: os.Geteuid() + 1, Pod: "etcd", Container: "etcd"}
	found := survey{claims: []process.Claim{claim}}
	if found.runs() {
		t.Error("another user's claim counts")
	}
	if got := found.lines(); len(got) != 1 || got[0] != "what says that it is container etcd of pod etcd (PID 4711)" {
		t.Errorf("it is named %q", got)
	}
	claim.UID = os.Geteuid()
	if found.claims = append(found.claims, claim); !found.runs() {
		t.Error("the caller's own process does not count")
	}
}
