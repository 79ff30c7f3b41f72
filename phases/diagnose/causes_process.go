package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// processCauses are about the process and what the kernel grants it.
func processCauses() []Cause {
	return []Cause{
		{
			Name: "out-of-memory", Summary: "the kernel killed it for want of memory, or it could get none",
			Look:    outOfMemory,
			Explain: "{program} got no more memory{how}",
			Remedy: "give it more: resources.limits.memory in {manifest}, or memory for the machine; " +
				"'free -m' and 'dmesg | grep -i \"killed process\"' show more",
		},
		{
			Name: "process-stopped", Summary: "the process was stopped by a signal (SIGSTOP), or a debugger holds it",
			Look: func(e Evidence, v Values) Certainty {
				if e.Process == nil || e.Process.State != "T" && e.Process.State != "t" {
					return ""
				}
				v["pid"], v["by"] = strconv.Itoa(e.Process.PID), "a signal (SIGSTOP)"
				if e.Process.State == "t" {
					v["by"] = "a debugger"
				}
				return Certain
			},
			Holds:   5 * time.Second,
			Explain: "process {pid} does nothing: it was stopped by {by}",
			Remedy:  "'kill -CONT {pid}' lets it go on",
		},
		{
			Name: "too-many-files", Summary: "the limit on open files is too low",
			Signs: []string{
				`file descriptor limit of etcd process is too low.*[( ]limit=(?P<limit>\d+)`,
				`too many open files`,
			},
			Look:    tooManyFiles,
			Explain: "{program} may not open more files: the limit is {limit}",
			Remedy: "raise it where the supervisor is started ('ulimit -n 65536' in the shell, LimitNOFILE=65536 in a unit), " +
				"end the supervisor and start it there: '{kubecrank} init'",
		},
	}
}

func outOfMemory(e Evidence, v Values) Certainty {
	line := regexp.MustCompile(`^(?:fatal error: )?runtime: (?:cannot allocate memory|out of memory)|^fatal error: .*out of memory`)
	switch {
	case e.KernelKill != "":
		v["how"] = ": the kernel killed it (" + e.KernelKill + ")"
	case e.Reason == runtime.ReasonOOMKilled:
		v["how"] = ": the kernel killed it"
	case !e.Running && slices.ContainsFunc(e.Log, line.MatchString):
		v["how"] = ": the kernel refused it any"
	default:
		return ""
	}
	if e.Restarts == 0 { // once may be bad luck: another process may have taken the memory
		return Probable
	}
	v["how"] += fmt.Sprintf(", and it has been started %d times", e.Restarts+1)
	return Certain
}

func tooManyFiles(e Evidence, v Values) Certainty {
	if v["limit"] != "" {
		return Certain // etcd says so and exits
	}
	v["limit"] = "not known any more"
	if e.Process == nil {
		return Probable
	}
	if e.Process.MaxFiles > 0 {
		v["limit"] = strconv.Itoa(e.Process.MaxFiles)
	}
	if e.Process.Files*10 >= e.Process.MaxFiles*9 {
		return Certain
	}
	return Probable
}
