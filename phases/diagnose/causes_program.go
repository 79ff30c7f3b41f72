package diagnose

import (
	"cmp"
	"slices"
	"strings"
)

// programCauses are why the program cannot be started at all. The texts of
// their signs are those of runtime/process.
func programCauses() []Cause {
	return []Cause{
		{
			Name: "program-missing", Summary: "the program that the manifest names is not there",
			Signs: []string{
				`cannot run (?P<path>/\S+): no such file or directory`,
				`cannot run (?P<path>\S+): there is no such program in (?P<where>\S+)`,
			},
			Look: func(e Evidence, v Values) Certainty {
				if v["where"] != "" {
					v["where"] = ": it was looked for in " + v["where"]
				}
				v["mend"] = e.findProgram(v)
				if p, looked := e.Paths[v["path"]]; looked && p.Problem == "" {
					return Passing
				}
				return Certain
			},
			Explain: "the program {path} is not there{where}",
			Remedy:  "{mend}",
		},
		{
			Name: "wrong-architecture", Summary: "the program is made for another kind of machine, or is no program",
			Signs: []string{`cannot run (?P<path>\S+): it is no program for this machine`},
			Look: func(e Evidence, v Values) Certainty {
				v["made"] = "is empty, cut off or no program"
				if m := e.Paths[v["path"]].Machine; m != "" && m != NoProgram {
					v["made"] = "is made for " + m
				}
				return Certain
			},
			Explain: "{path} cannot run on this machine: the file {made}",
			Remedy:  "put the file for this machine there: 'uname -m' names its kind, 'file -L {path}' that of the program",
		},
		{
			Name: "noexec", Summary: "the program lies on a file system that is mounted noexec",
			Signs: []string{`cannot run (?P<path>\S+): its file system is mounted noexec`},
			Look: func(e Evidence, v Values) Certainty {
				p := e.Paths[v["path"]]
				if v["mount"] = cmp.Or(p.Mount, "MOUNTPOINT"); !p.NoExec && p.Problem == "" {
					return Passing
				}
				return Certain
			},
			Explain: "{path} may not run: its file system, {mount}, is mounted noexec",
			Remedy:  "'mount -o remount,exec {mount}', or put the components elsewhere (--root, --components-dir)",
		},
		{
			Name: "not-executable", Summary: "the program's file may not be executed",
			Signs:   []string{`cannot run (?P<path>\S+)(?: as user \d+)?: (?:it is not executable|permission denied)`},
			Explain: "{path} may not be executed by the user that {pod} runs as",
			Remedy:  "'chmod 0755 {path}', and let that user into the directories above it",
		},
	}
}

// findProgram is what to do about a program that is not there. Only the components are staged, and found by their bare names.
func (e Evidence) findProgram(v Values) string {
	manifest := cmp.Or(e.Manifest, "the manifest")
	if strings.Contains(v["path"], "/") {
		return "put it there, or correct its path in " + manifest + "; 'ls -l " + v["path"] + "' shows what is there"
	}
	if slices.Contains([]string{etcd, apiServer, controllerManager, scheduler}, v["path"]) {
		return "have '" + v["kubecrank"] + " init' stage the components, or put it into a directory on the supervisor's PATH"
	}
	return "is it on the PATH of the supervisor? If not, give its absolute path in " + manifest
}

// NoProgram is Path.Machine of a file that is no ELF file.
const NoProgram = "no program"
