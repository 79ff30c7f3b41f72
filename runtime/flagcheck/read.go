package flagcheck

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReadHelp reads the flags and feature gates of a help text: that of kube-*, which pflag makes, or etcd's. Hidden and deprecated
// flags are not in it.
func ReadHelp(help string) Component {
	var c Component
	flag := regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([a-zA-Z0-9][\w.-]*)(?: (\S+))?(?:\s{2,}.*|\s*)$`)
	for _, m := range flag.FindAllStringSubmatch(help, -1) {
		name, kind := m[1], m[2]
		switch value, quoted := strings.CutPrefix(kind, "'"); {
		case quoted: // etcd shows the default in place of the type
			kind = typeOf(name, strings.TrimSuffix(value, "'"))
		case kind == "":
			kind = "bool"
		default:
			kind, _, _ = strings.Cut(kind, "[=")
		}
		c.add(Flag{Name: name, Type: kind})
	}
	gate := regexp.MustCompile(`(?:^|[\s:])([A-Z]\w+)=true\|false`)
	for _, m := range gate.FindAllStringSubmatch(help, -1) {
		c.Gates = append(c.Gates, m[1])
	}
	slices.Sort(c.Gates)
	c.Gates = slices.Compact(c.Gates)
	return c
}

// typeOf tells the type of a flag of etcd by its default.
func typeOf(name, value string) string {
	if name == "auto-compaction-retention" { // "5", or "1h": etcd reads it itself
		return "string"
	}
	if value == "true" || value == "false" {
		return "bool"
	}
	if _, err := strconv.Atoi(value); err == nil {
		return "int"
	}
	if _, err := time.ParseDuration(value); err == nil {
		return "duration"
	}
	return "string"
}

// ReadAll adds the flags that a component of kube-* logs when it starts with --v=1, also hidden ones (component-base,
// PrintFlags). It returns arguments that set the hidden ones to their defaults: with them the component says which are deprecated.
func (c *Component) ReadAll(log string) (hidden []string) {
	line := regexp.MustCompile(`(?m)FLAG: --([\w.-]+)=("(?:[^"\\]|\\.)*")$`)
	for _, m := range line.FindAllStringSubmatch(log, -1) {
		value, err := strconv.Unquote(m[2])
		if err != nil || slices.ContainsFunc(c.Flags, func(f Flag) bool { return f.Name == m[1] }) {
			continue
		}
		c.add(Flag{Name: m[1]})
		hidden = append(hidden, "--"+m[1]+"="+value)
	}
	return hidden
}

// ReadVersion reads what a component prints with --version: "Kubernetes v1.36.3" or "etcd Version: 3.6.8", and on stderr which
// of its arguments are deprecated.
func (c *Component) ReadVersion(stdout, stderr string) {
	if m := regexp.MustCompile(`(?m)^(?:Kubernetes v|etcd Version: )(\S+)$`).FindStringSubmatch(stdout); m != nil {
		c.Version = m[1]
	}
	for _, m := range regexp.MustCompile(`(?m)^Flag --(\S+) has been deprecated.*$`).FindAllStringSubmatch(stderr, -1) {
		for i := range c.Flags {
			if c.Flags[i].Name == m[1] {
				c.Flags[i].Deprecated = m[0]
			}
		}
	}
}

// add keeps the flags sorted, each once.
func (c *Component) add(f Flag) {
	at, found := slices.BinarySearchFunc(c.Flags, f, func(a, b Flag) int { return cmp.Compare(a.Name, b.Name) })
	if !found {
		c.Flags = slices.Insert(c.Flags, at, f)
	}
}
