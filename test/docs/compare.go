package docs

import (
	"regexp"
	"slices"
	"strings"
)

// compare returns "" when the output is what the page shows, or else a diff:
// lines of the page that were not printed start with "-", lines that were
// printed and are not on the page with "+".
func compare(want, got []string) string {
	wantDone, want := progress(want)
	gotDone, got := progress(got)
	diff := align(trimEnd(want), trimEnd(got))
	if slices.ContainsFunc(want, isAnything) { // it may stand for progress too
		gotDone = slices.DeleteFunc(gotDone, func(line string) bool { return !slices.Contains(wantDone, line) })
	}
	if !slices.Equal(wantDone, gotDone) {
		diff += align(wantDone, gotDone)
	}
	return diff
}

// took is how long a phase took, at the end of a line of progress; quick ones have none.
var took = regexp.MustCompile(` \([0-9.ms ]+\)$`)

// progress takes kubecrank's progress out of an output: what was done, sorted
// and without times, and the rest. What is under way only slow machines tell, and that their disk is slow.
func progress(lines []string) (done, rest []string) {
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, " • "), strings.HasPrefix(line, " ! FsyncLatency-"):
		case strings.HasPrefix(line, " ✓ "):
			done = append(done, took.ReplaceAllString(line, ""))
		default:
			rest = append(rest, line)
		}
	}
	slices.Sort(done)
	return done, rest
}

// trimEnd leaves out empty lines at the end: a block is easier to read without.
func trimEnd(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// align finds the cheapest way to make the wanted lines of those that were
// printed, where every line that is missing or too much costs one, and a line "..."
// takes any lines for nothing. It returns "" when it costs nothing.
func align(want, got []string) string {
	a := newAlignment(want, got)
	if a.cost[0][0] == 0 {
		return ""
	}
	var b strings.Builder
	for i, j := 0, 0; i < len(want) || j < len(got); {
		m, _ := a.best(i, j)
		switch {
		case m == same:
			b.WriteString("  " + got[j] + "\n")
		case m == missing && a.wild(i):
			b.WriteString("  " + want[i] + "\n")
		case m == missing:
			b.WriteString("- " + want[i] + "\n")
		case !a.wild(i): // what "..." takes is shown as "..."
			b.WriteString("+ " + got[j] + "\n")
		}
		if m != extra {
			i++
		}
		if m != missing {
			j++
		}
	}
	return b.String()
}

// alignment is two lists of lines, and what it costs to make one of the other.
type alignment struct {
	want, got []string
	patterns  []*regexp.Regexp // of want
	cost      [][]int          // cost[i][j] is that of want[i:] and got[j:]
}

func newAlignment(want, got []string) *alignment {
	a := &alignment{want: want, got: got}
	for _, line := range want {
		a.patterns = append(a.patterns, pattern(line))
	}
	for range len(want) + 1 {
		a.cost = append(a.cost, make([]int, len(got)+1))
	}
	for i := len(want); i >= 0; i-- {
		for j := len(got); j >= 0; j-- {
			if i < len(want) || j < len(got) {
				_, a.cost[i][j] = a.best(i, j)
			}
		}
	}
	return a
}

// move is one step of an alignment.
type move int

const (
	same    move = iota // the line that was wanted was printed
	missing             // one that was wanted was not
	extra               // one was printed that was not wanted
)

// best is the cheapest move at a place, and what it costs to the end.
func (a *alignment) best(i, j int) (move, int) {
	m, least := missing, len(a.want)+len(a.got)+1
	price := 1
	if a.wild(i) {
		price = 0
	} else if i < len(a.want) && j < len(a.got) && a.patterns[i].MatchString(a.got[j]) {
		m, least = same, a.cost[i+1][j+1]
	}
	if i < len(a.want) && a.cost[i+1][j]+price < least {
		m, least = missing, a.cost[i+1][j]+price
	}
	if j < len(a.got) && a.cost[i][j+1]+price < least {
		m, least = extra, a.cost[i][j+1]+price
	}
	return m, least
}

// wild says whether the wanted line stands for any lines.
func (a *alignment) wild(i int) bool { return i < len(a.want) && isAnything(a.want[i]) }

func isAnything(line string) bool { return strings.TrimSpace(line) == anything }

// varies is what two runs print differently: a gap, "...", a duration, a large number.
var varies = regexp.MustCompile(` +|\.\.\.|` + duration + `|\b\d{4,}\b`)

const duration = `\b\d+(?:\.\d+)? ?(?:ms|s)\b|\b(?:\d+[dhm])+(?:\d+s)?\b`

// pattern is the regular expression that a line of a page stands for.
func pattern(line string) *regexp.Regexp {
	line = strings.TrimRight(line, " ")
	var b strings.Builder
	b.WriteString("^")
	last := 0
	for _, at := range varies.FindAllStringIndex(line, -1) {
		b.WriteString(regexp.QuoteMeta(line[last:at[0]]))
		last = at[1]
		switch text := line[at[0]:at[1]]; {
		case text == anything:
			b.WriteString(".*")
		case strings.TrimSpace(text) == "":
			b.WriteString(" +")
		case strings.ContainsAny(text, "smhd"):
			b.WriteString("(?:" + duration + ")")
		default:
			b.WriteString(`\d+`)
		}
	}
	b.WriteString(regexp.QuoteMeta(line[last:]) + " *$")
	return regexp.MustCompile(b.String())
}
