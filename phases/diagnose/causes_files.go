package diagnose

import "fmt"

// fileCauses are about files that a flag names.
func fileCauses() []Cause {
	return []Cause{
		{
			Name: "file-missing", Summary: "a file that the component reads is not there",
			Signs: []string{`(?:open|stat|read) (?P<path>/[^:" ]+): no such file or directory`},
			Look: func(e Evidence, v Values) Certainty {
				if p, looked := e.Paths[v["path"]]; looked && p.Problem == "" {
					return Passing
				}
				v["flag"] = e.flagWith(v["path"])
				return Certain
			},
			Explain: "{path} is not there, which --{flag} of {program} names",
			Remedy:  "put it there, or correct --{flag} in {manifest}; '{kubecrank} init' makes what is missing of its own files",
		},
		{
			Name: "file-unreadable", Summary: "the component may not read a file",
			Signs: []string{`(?:open|stat|read) (?P<path>/[^:" ]+): permission denied`},
			Look: func(e Evidence, v Values) Certainty {
				v["who"], v["user"] = "", "USER"
				if e.RunAs != nil {
					v["user"] = fmt.Sprint(*e.RunAs)
				}
				if p := e.Paths[v["path"]]; p.Mode != "" {
					v["who"] = fmt.Sprintf(": it belongs to user %d (%s)", p.UID, p.Mode)
				}
				return Certain
			},
			Explain: "{program} may not read {path}{who}",
			Remedy:  "'chown {user} {path}', with the user that it runs as, and let that user into the directories above it",
		},
	}
}
