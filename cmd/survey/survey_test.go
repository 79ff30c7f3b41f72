package survey

import (
	"os"
	"testing"

	"github.com/kubecrank/kubecrank/runtime/process"
)

// Another user's claim to be a container of this root is named, but keeps no init and no reset from its end.
func TestClaimOfAnotherUser(t *testing.T) {
	t.Parallel()
	claim := process.Claim{PID: 4711, UID: os.Geteuid() + 1, Pod: "etcd", Container: "etcd"}
	found := Found{Claims: []process.Claim{claim}}
	if found.Runs() {
		t.Error("another user's claim counts")
	}
	if got := found.Lines(); len(got) != 1 || got[0] != "what says that it is container etcd of pod etcd (PID 4711)" {
		t.Errorf("it is named %q", got)
	}
	claim.UID = os.Geteuid()
	if found.Claims = append(found.Claims, claim); !found.Runs() {
		t.Error("the caller's own process does not count")
	}
}
