// Package diagnose says why a container of a static pod is not healthy, and
// what to do about it. It is a pure function: package evidence looks at the
// machine, and the causes that are known are a table of data.
//
//	evidence.Gather --> Evidence --Diagnose--> Diagnosis --> the error of init
//	                                 ^                  +--> status, as text and as JSON
//	                      Causes (causes_*.go)
//
// A cause has signs (a line of the log, the supervisor's message), and where a
// sign cannot name the culprit or may be out of date, a look at the evidence
// confirms it: who holds the port now, which file has expired. Only then is it
// certain. `init` gives up as soon as a cause is certain, so certain means that
// waiting will not help; what may pass by itself is Passing.
package diagnose

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Certainty is how sure a diagnosis is.
type Certainty string

// The degrees of certainty.
const (
	// Certain: this is the cause, and it will not go away by itself.
	Certain Certainty = "certain"
	// Probable: all looks like it, but something could not be confirmed.
	Probable Certainty = "probable"
	// Passing: this is what it suffers from now, and that may pass by itself.
	Passing Certainty = "passing"
)

// Heading is the word in front of an explanation.
func (c Certainty) Heading() string {
	switch c {
	case Certain:
		return "cause"
	case Probable:
		return "probable cause"
	default:
		return "at present"
	}
}

// Diagnosis is why a container is not healthy.
type Diagnosis struct {
	Cause       string    `json:"cause"` // the name in the table: "port-taken"
	Certainty   Certainty `json:"certainty"`
	Explanation string    `json:"explanation"`
	Remedy      string    `json:"remedy"`
	// Line is the line of the log, or the message, that shows it; "" when the evidence is another.
	Line string `json:"line,omitempty"`
	// Values are the parts of the explanation, for programs: "port", "pid", "file", "flag".
	Values map[string]string `json:"values,omitempty"`
	// Holds is how long it must be seen before it counts as certain for a wait.
	Holds time.Duration `json:"-"`
}

// Values fill in explanations and remedies: {name} becomes the value.
type Values map[string]string

// Cause is one line of the table.
type Cause struct {
	Name    string
	Summary string // for the table in docs/reference/diagnosis.md
	// Programs are those it is about, by the name of the program; none means any.
	Programs []string
	// Signs are regular expressions for a line of the log, or of what the supervisor says of
	// the container. Their groups become values. No signs: Look decides alone.
	Signs []string
	// Look confirms the cause and may add values. It returns "" when it is not this one. Nil: a sign is proof.
	Look func(e Evidence, v Values) Certainty
	// Explain and Remedy are texts with {values} in them.
	Explain, Remedy string
	// Holds is how long Look must find it certain, for states that may pass.
	Holds time.Duration
}

// Diagnose returns the best explanation that the table has: the most certain,
// of those the first. It returns false when none fits.
func Diagnose(e Evidence) (Diagnosis, bool) {
	var found []Diagnosis
	for _, c := range Causes() {
		if d, ok := c.match(e); ok {
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		return Diagnosis{}, false
	}
	slices.SortStableFunc(found, func(a, b Diagnosis) int { return cmp.Compare(rank(a.Certainty), rank(b.Certainty)) })
	return found[0], true
}

func rank(c Certainty) int { return slices.Index([]Certainty{Certain, Probable, Passing}, c) }

func (c Cause) match(e Evidence) (Diagnosis, bool) {
	if len(c.Programs) > 0 && !slices.Contains(c.Programs, e.Program) {
		return Diagnosis{}, false
	}
	v := Values{}
	line, seen := c.sign(e, v)
	if !seen && len(c.Signs) > 0 {
		return Diagnosis{}, false
	}
	e.common(v)
	v["line"] = line
	certainty := Certain
	if c.Look != nil {
		certainty = c.Look(e, v)
	}
	if certainty == "" {
		return Diagnosis{}, false
	}
	return Diagnosis{
		Cause: c.Name, Certainty: certainty, Line: line, Holds: c.Holds,
		Explanation: v.fill(c.Explain), Remedy: v.fill(c.Remedy), Values: v.shown(c),
	}, true
}

// sign finds the last line that shows the cause, and takes its values. What
// only other signs name is empty.
func (c Cause) sign(e Evidence, v Values) (string, bool) {
	lines := slices.Concat(e.Messages, e.Log)
	expressions := make([]*regexp.Regexp, len(c.Signs))
	for i, sign := range c.Signs {
		expressions[i] = regexp.MustCompile(sign) // a test compiles all of them
		for _, name := range expressions[i].SubexpNames() {
			v[name] = ""
		}
	}
	for _, re := range expressions {
		for _, line := range slices.Backward(lines) {
			m := re.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			for i, name := range re.SubexpNames() {
				if name != "" && m[i] != "" {
					v[name] = printable(m[i])
				}
			}
			return line, true
		}
	}
	return "", false
}

// printable keeps what a log holds from reaching the terminal as commands to it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func (v Values) fill(text string) string {
	pairs := make([]string, 0, 2*len(v))
	for name, value := range v {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// shown are the values that are facts; the others are words of a sentence.
func (v Values) shown(c Cause) map[string]string {
	shown := map[string]string{}
	for _, name := range []string{
		"address", "dataDir", "file", "flag", "free", "gate", "holder", "limit", "mount", "path", "pid", "port", "servers", "size",
		"took", "value",
	} {
		if v[name] != "" && (name == "file" || strings.Contains(c.Explain+c.Remedy, "{"+name+"}")) {
			shown[name] = v[name]
		}
	}
	if len(shown) == 0 {
		return nil
	}
	return shown
}
