package steps

import (
	"testing"

	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// A step of reset looks at what is there, and says what it leaves.
func TestRemovePathCompare(t *testing.T) {
	owned := map[string]resource.Owned{
		"/f": ourFile("/f", "ours"),
		"/d": {Made: resource.Made{Kind: resource.MadeDir, Path: "/d"}, Done: true},
	}
	for name, test := range map[string]struct {
		step  RemovePath
		files map[string]resource.Seen
		state plan.State
	}{
		"ours":               {RemovePath{Path: "/f"}, map[string]resource.Seen{"/f": aFile("ours")}, plan.New},
		"changed by hand":    {RemovePath{Path: "/f"}, map[string]resource.Seen{"/f": aFile("edited")}, plan.Left},
		"directory":          {RemovePath{Path: "/d"}, map[string]resource.Seen{"/d": {Kind: resource.Directory}}, plan.New},
		"directory gone":     {RemovePath{Path: "/d"}, nil, plan.Unchanged},
		"not in the journal": {RemovePath{Path: "/x"}, map[string]resource.Seen{"/x": aFile("ours")}, plan.Unchanged},
		"not to be seen":     {RemovePath{Path: "/f"}, map[string]resource.Seen{"/f": {Kind: resource.Unreadable, Error: "permission denied"}}, plan.Unknown},
	} {
		f := fakeHost{files: test.files, owned: owned}
		w := test.step.Compare(f.host())
		if w.State != test.state || (w.State == plan.New) != (w.Do != nil) {
			t.Errorf("%s: %s (%s)", name, w.State, w.Detail)
		}
	}
	// A file that is gone may still have left the beginnings of a write.
	f := fakeHost{owned: owned}
	if w := (RemovePath{Path: "/f"}).Compare(f.host()); w.Do == nil {
		t.Error("nothing is done about the leftovers of a file that is gone")
	}
}
