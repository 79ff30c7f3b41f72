package diagnose

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
)

// flagCauses are about the command in the manifest.
func flagCauses() []Cause {
	return []Cause{
		{
			Name: "unknown-flag", Summary: "a flag that this version of the program does not have; the nearest one is named",
			Signs: []string{
				`^Error: unknown flag: --(?P<flag>\S+)`,
				`^flag provided but not defined: -+(?P<flag>\S+)`,
			},
			Look: func(e Evidence, v Values) Certainty {
				near := strictyaml.Nearest(v["flag"], e.Names)
				v["nearest"], v["edit"] = "", "'sed -i \"/--"+v["flag"]+"/d\" "+e.Manifest+"' takes it out"
				if near != "" {
					v["nearest"] = "; it has --" + near
					v["edit"] = "'sed -i \"s/--" + v["flag"] + "/--" + near + "/\" " + e.Manifest + "' mends it"
				}
				return e.stillHas(v["flag"])
			},
			Explain: "{program} has no flag --{flag}{nearest}",
			Remedy:  "{edit} (and extraArgs, if it comes from there); the pod is then started again at once",
		},
		{
			Name: "bad-feature-gate", Summary: "a feature gate that does not exist, is locked, or is neither true nor false",
			Signs: []string{
				`unrecognized feature gate: (?P<gate>\w+)`,
				`cannot set feature gate (?P<gate>\w+) to \w+, feature is locked to (?P<locked>\w+)`,
				`invalid value of (?P<gate>\w+)=(?P<value>[^,]*), err: strconv\.ParseBool`,
				`missing bool value for (?P<gate>\w+)`,
			},
			Look: func(e Evidence, v Values) Certainty {
				switch near := strictyaml.Nearest(v["gate"], e.Names); {
				case v["locked"] != "":
					v["what"] = "it is locked to " + v["locked"]
				case v["value"] != "":
					v["what"] = "it can be true or false, not " + v["value"]
				case near == v["gate"]:
					v["what"] = "it needs a value, true or false"
				case near != "":
					v["what"] = "it is not known; the nearest one is " + near
				default:
					v["what"] = "it is not known"
				}
				return e.stillHas("feature-gates")
			},
			Explain: "{program} does not take feature gate {gate}: {what}",
			Remedy:  "correct --feature-gates in {manifest} (and extraArgs, if it comes from there); '{program} --help' lists the gates",
		},
		{
			Name: "bad-flag-value", Summary: "a flag with a value that the program does not accept",
			Signs: []string{
				`^Error: invalid argument "(?P<value>.*)" for "(?:-\w, )?--(?P<flag>[a-z0-9-]+)" flag: (?P<why>.*)$`,
				`^invalid value "(?P<value>.*)" for flag -(?P<flag>[a-z0-9-]+): (?P<why>.*)$`,
				`^panic: (?P<why>unrecognized level: "(?P<value>.*)")`,
				`"command failed" err="(?P<why>.*)"$`,
			},
			Look:    badValue,
			Explain: "{program} does not accept --{flag}={value}: {why}",
			Remedy:  "correct --{flag} in {manifest} (and extraArgs, if it comes from there); the pod is then started again at once",
		},
	}
}

// stillHas says whether the manifest still has what the program complained of.
func (e Evidence) stillHas(flag string) Certainty {
	if _, has := e.Flags[flag]; has || len(e.Flags) == 0 {
		return Certain
	}
	return Passing
}

// badValue finds the flag that a program's last words are about: the components
// begin them with its name, with or without dashes.
func badValue(e Evidence, v Values) Certainty {
	v["why"] = unquote(v["why"])
	if v["flag"] == "" {
		v["flag"] = e.flagIn(v["why"], v["value"])
	}
	if v["flag"] == "" {
		return ""
	}
	has := e.Flags[v["flag"]]
	if v["value"] != "" && has != "" && !strings.Contains(has, v["value"]) {
		return Passing // it has been corrected since
	}
	v["value"] = cmp.Or(v["value"], has)
	return e.stillHas(v["flag"])
}

func (e Evidence) flagIn(why, value string) string {
	first := regexp.MustCompile(`^(?:invalid )?(?:argument |value for )?(?:--)?([a-z][a-z0-9-]+)(?:\[\d+\])?\b`)
	if m := first.FindStringSubmatch(why); m != nil {
		if _, has := e.Flags[m[1]]; has {
			return m[1]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Flags)) {
		if value != "" && e.Flags[name] == value || strings.Contains(why, "--"+name+" ") {
			return name
		}
	}
	return ""
}

// unquote undoes the quoting of klog's err="...".
func unquote(s string) string {
	if plain, err := strconv.Unquote(`"` + s + `"`); err == nil {
		return plain
	}
	return s
}
