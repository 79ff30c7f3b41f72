package steps

import (
	"testing"

	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// A step of reset looks at what is there, and says what it leaves.
func TestRemovePathCompare(t *testing.T) {
	owned := map[string]resource.Claim{
		"/f": ourFile("/f", "ours"),
		"/d": {Resource: resource.Resource{Kind: resource.Dir, Key: "/d"}, Done: true},
	}
	for name, test := range map[string]struct {
		step  Undo
		files map[string]resource.Seen
		state plan.State
	}{
		"ours":               {Undo{resource.Resource{Kind: resource.File, Key: "/f"}}, map[string]resource.Seen{"/f": aFile("ours")}, plan.New},
		"changed by hand":    {Undo{resource.Resource{Kind: resource.File, Key: "/f"}}, map[string]resource.Seen{"/f": aFile("edited")}, plan.Left},
		"directory":          {Undo{resource.Resource{Kind: resource.Dir, Key: "/d"}}, map[string]resource.Seen{"/d": {Kind: resource.Directory}}, plan.New},
		"directory gone":     {Undo{resource.Resource{Kind: resource.Dir, Key: "/d"}}, nil, plan.Unchanged},
		"not in the journal": {Undo{resource.Resource{Kind: resource.File, Key: "/x"}}, map[string]resource.Seen{"/x": aFile("ours")}, plan.Unchanged},
		"not to be seen":     {Undo{resource.Resource{Kind: resource.File, Key: "/f"}}, map[string]resource.Seen{"/f": {Kind: resource.Unreadable, Error: "permission denied"}}, plan.Unknown},
	} {
		f := fakeHost{files: test.files, owned: owned}
		w := test.step.Compare(f.host())
		if w.State != test.state || (w.State == plan.New) != (w.Do != nil) {
			t.Errorf("%s: %s (%s)", name, w.State, w.Detail)
		}
	}
	// A file that is gone may still have left the beginnings of a write.
	f := fakeHost{owned: owned}
	if w := (Undo{resource.Resource{Kind: resource.File, Key: "/f"}}).Compare(f.host()); w.Do == nil {
		t.Error("nothing is done about the leftovers of a file that is gone")
	}
}
