// Package conformance holds a runtime.Runtime to what the supervisor and docs/reference/static-pod-statements.md need of it, with
// real containers: every test is a static pod in a directory, a whole supervisor, and what the pod's
// containers say of themselves.
//
//	manifest --source.Directory--> supervisor --> faults --> the Runtime under test --> sh in a container
//	                                   |                                                      |
//	     statement <--- status, events-+             a file on the host <--- "main begin" ----+
//
// A test that is named Static_044_... holds statement 44 of docs/reference/static-pod-statements.md; what is
// about time alone is held by the supervisor's own tests, which have a clock of their own. Bounds from
// above are wide: they tell a hang from an answer, on a machine that is busy.
package conformance

import (
	"testing"

	"github.com/kubecrank/kubecrank/runtime"
)

// Target is the Runtime under test.
type Target struct {
	// Open makes the Runtime of an installation that keeps all that it writes below root. Opened a second time it
	// must find what the first one has started.
	Open func(t *testing.T, root string) runtime.Runtime
	// Image has sh, sleep, true and kill in it. A runtime on host processes does not look at it.
	Image string
	// EndSandbox ends a pod's sandbox from outside, as a crash of its pause container does; nil when the pods of this
	// Runtime have none that could end.
	EndSandbox func(t *testing.T, root, podUID string)
}

// Run runs the suite. It needs Linux, and nothing of the network but loopback.
func Run(t *testing.T, target Target) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(f *fixture)
	}{
		{"Contract_Info", contractInfo},
		{"Contract_Exit", contractExit},
		{"Contract_Wait", contractWait},
		{"Contract_Stop", contractStop},
		{"Contract_Exec", contractExec},
		{"Contract_List", contractList},
		{"Contract_Limits", contractLimits},
		{"Contract_Volumes", contractVolumes},
		{"Contract_User", contractUser},

		{"Static_044_065_OneAtATime", oneAtATime},
		{"Static_045_OwnGrace", ownGrace},
		{"Static_046_LastEditWins", lastEditWins},
		{"Static_047_DeleteAndRecreate", deleteAndRecreate},
		{"Static_048_066_AnyChangeRestarts", anyChangeRestarts},
		{"Static_049_RuntimeAway", runtimeAway},
		{"Static_050_StuckCleanup", stuckCleanup},
		{"Static_051_LeastGrace", leastGrace},
		{"Static_052_RestartPolicy", restartPolicy},
		{"Static_053_DeadSandbox", deadSandbox},
		{"Static_054_055_BackOff", backOff},
		{"Static_056_InitContainers", initContainers},
		{"Static_057_LostInitRecords", lostInitRecords},
		{"Static_058_Sidecars", sidecars},
		{"Static_059_PreStop", preStop},
		{"Static_060_PostStart", postStart},
		{"Static_061_HTTPHook", httpHook},
		{"Static_062_RestartRules", restartRules},
		{"Static_063_Adoption", adoption},
		{"Static_067_UnreachableSource", unreachableSource},
		{"Static_068_RefusalsAreRetried", refusalsAreRetried},
		{"Static_070_InitialDelay", initialDelay},
		{"Static_071_073_078_Liveness", livenessKills},
		{"Static_072_StartupGates", startupGates},
		{"Static_077_ExecProbe", execProbe},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(newFixture(t, target))
		})
	}
}
