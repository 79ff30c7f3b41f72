package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/process"
	"github.com/kubecrank/kubecrank/test/guardian"
)

func TestMain(m *testing.M) {
	guardian.Guard()
	os.Exit(m.Run())
}

// The runtime on host processes.
func TestProcess(t *testing.T) {
	t.Parallel()
	Run(t, Target{
		Open: func(t *testing.T, root string) runtime.Runtime {
			rt, err := process.New(process.Options{Root: root, LogDir: filepath.Join(root, "logs"), StateDir: filepath.Join(root, "state")})
			if err != nil {
				t.Fatal(err)
			}
			return rt
		},
		Image: "none", // it is not looked at
	})
}
