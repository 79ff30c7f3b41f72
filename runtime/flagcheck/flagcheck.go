// Package flagcheck knows which flags a component has, and tells whether it
// takes certain arguments. It starts no program: cmd/pack asks the components
// while kubecrank is built, and the answers are data in the payload.
//
//	build:  COMPONENT --help, ... --ReadHelp, ReadAll, ReadVersion--> Set --Encode--> payload
//	run:    payload --Decode--> Set --Check(arguments)--> Answer: unknown flags, values of another type
//
// A type says less than the component does: a value that has the right form and
// that the component refuses for another reason is found when it starts.
package flagcheck

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Set is what is known of the components of one release, by name: "kube-apiserver".
type Set map[string]Component

// Component is what one version of a component takes.
type Component struct {
	// Version is its own, without a leading v: "1.36.3", or "3.6.8" of an etcd.
	Version string `json:"version"`
	// Flags are sorted by name. Hidden flags are among them.
	Flags []Flag `json:"flags"`
	// Gates are the feature gates that its help text lists: all but those that are generally available or deprecated.
	Gates []string `json:"gates,omitempty"`
}

// Flag is one flag of a component.
type Flag struct {
	Name string `json:"name"` // without dashes
	// Type is the form of its value as pflag names it: "bool", "int32", "duration". A type that Check does not know takes any value.
	Type string `json:"type,omitempty"`
	// Deprecated is the sentence with which the component takes a flag that will go.
	Deprecated string `json:"deprecated,omitempty"`
}

// Encode returns the set as data for Decode. The same set gives the same bytes.
func (s Set) Encode() ([]byte, error) { return json.Marshal(s) }

// Decode reads what Encode has written.
func Decode(data []byte) (Set, error) {
	var s Set
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("cannot read the flags of the components: %w", err)
	}
	return s, nil
}

// Names are all names that a user may have meant: of flags and of feature gates.
func (s Set) Names(component string) []string {
	c := s[component]
	return slices.Concat(c.FlagNames(), c.Gates)
}

// FlagNames are the names of the flags.
func (c Component) FlagNames() []string {
	names := make([]string, len(c.Flags))
	for i, f := range c.Flags {
		names[i] = f.Name
	}
	return names
}

// Answer is what is known of a component's arguments.
type Answer struct {
	Refused    []Refusal // in the order of the arguments
	Deprecated []string  // sentences about flags that will go
	// Gates are feature gates that the help text does not list: they do not exist, or they can no longer be turned off.
	Gates []string
}

// Refusal is one argument that the component does not take.
type Refusal struct {
	Index   int    // of the argument
	Unknown bool   // the component has no such flag
	Problem string // what is wrong with the value otherwise
}

// Check looks at arguments of the form "--name=value".
func (c Component) Check(args []string) Answer {
	var a Answer
	for i, arg := range args {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		at := slices.IndexFunc(c.Flags, func(f Flag) bool { return normal(f.Name) == normal(name) })
		if at < 0 {
			a.Refused = append(a.Refused, Refusal{Index: i, Unknown: true})
			continue
		}
		flag := c.Flags[at]
		problem := flag.problem(value)
		if flag.Name == "feature-gates" {
			var unlisted []string
			unlisted, problem = c.gates(value)
			a.Gates = append(a.Gates, unlisted...)
		}
		if problem != "" {
			a.Refused = append(a.Refused, Refusal{Index: i, Problem: problem})
		}
		if flag.Deprecated != "" && !slices.Contains(a.Deprecated, flag.Deprecated) {
			a.Deprecated = append(a.Deprecated, flag.Deprecated)
		}
	}
	return a
}

// normal is a flag's name as component-base compares names.
func normal(name string) string { return strings.ReplaceAll(name, "_", "-") }

// problem is why the value is not of the flag's type, "" if it is or if the type is not known. The parsers are those of
// pflag and of package flag.
func (f Flag) problem(value string) string {
	var err error
	switch f.Type {
	case "bool":
		_, err = strconv.ParseBool(value)
	case "int":
		_, err = strconv.ParseInt(value, 0, 64)
	case "int32":
		_, err = strconv.ParseInt(value, 0, 32)
	case "uint":
		_, err = strconv.ParseUint(value, 0, 64)
	case "uint32":
		_, err = strconv.ParseUint(value, 0, 32)
	case "Level": // of klog
		_, err = strconv.ParseUint(value, 10, 32)
	case "float", "float32":
		_, err = strconv.ParseFloat(value, 64)
	case "duration":
		_, err = time.ParseDuration(value)
	case "ip":
		if value != "" && net.ParseIP(strings.TrimSpace(value)) == nil {
			return "it is no IP address"
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// gates checks "Gate=true,component:Gate=false": the form of each, and whether the help text lists it.
func (c Component) gates(value string) (unlisted []string, problem string) {
	states := make(map[string]string)
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, state, has := strings.Cut(part, "=")
		if _, own, prefixed := strings.Cut(name, ":"); prefixed {
			name = own
		}
		name = strings.TrimSpace(name)
		if !has {
			return nil, "missing bool value for " + name
		}
		states[name] = strings.TrimSpace(state)
	}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		if _, err := strconv.ParseBool(states[name]); err != nil {
			return nil, fmt.Sprintf("invalid value of %s=%s, it must be true or false", name, states[name])
		}
		if !slices.Contains(c.Gates, name) {
			unlisted = append(unlisted, name)
		}
	}
	return unlisted, ""
}
