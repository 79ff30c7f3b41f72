package timeline

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kubecrank/kubecrank/printable"
)

// The characters of the bars in a text.
const (
	charPrepare = '▒' // of a phase: comparing, and making bytes in memory
	charDo      = '█' // of a phase or step: the rest
	charWait    = '·' // a pod waits for another one
	charStart   = '▒' // a container runs, and is not ready
	charReady   = '█'
	charExit    = '×'
)

// Text writes the timeline as a table with bars, in lines of at most width characters.
func Text(w io.Writer, t Timeline, width int) error {
	rows := textRows(t)
	names := 0
	for _, r := range rows {
		names = max(names, utf8.RuneCountInString(r.name))
	}
	names = min(names, 34)
	const columns = 2 + 9 + 2 + 9 + 3 // start, took and the space around them
	bars := min(max(width-names-columns, 20), 100)
	axis := newAxis(t.End, bars)
	var b strings.Builder
	b.WriteString(t.title() + "\n")
	if t.Error != "" {
		line, _, _ := strings.Cut(t.Error, "\n")
		b.WriteString(line + "\n")
	}
	section := ""
	for _, r := range rows {
		if r.section != section {
			section = r.section
			fmt.Fprintf(&b, "\n%s  %9s  %9s   %s\n", pad(section, names), "START", "TOOK", axis.scale())
		}
		fmt.Fprintf(&b, "%s  %9s  %9s   %s\n", pad(squeeze(r.name, names), names), short(r.start), r.took, axis.bar(r.parts))
	}
	if len(t.Critical) > 0 {
		b.WriteString("\n" + wrap("Critical path: "+t.criticalText(), width) + "\n")
	}
	b.WriteString("\n" + legend(rows) + "\n")
	_, err := io.WriteString(w, printable.String(trimLines(b.String())))
	return err
}

// title says what this was.
func (t Timeline) title() string {
	what := "kubecrank " + t.Verb
	if t.Node != "" {
		what += " on " + t.Node
	}
	how := t.Result
	switch {
	case t.Ready != nil && t.Result == "ready":
		how = "all ready after " + short(*t.Ready)
	case t.Result == "failed":
		how = "failed after " + short(t.End)
	case t.Result == "unfinished":
		how = "not all ready, or not ended, after " + short(t.End)
	}
	return fmt.Sprintf("%s, %s: %s", what, t.Began.UTC().Format("2006-01-02 15:04:05 UTC"), how)
}

func (t Timeline) criticalText() string {
	var parts []string
	for _, l := range t.Critical {
		if l.Took >= max(0.005, t.End/100) {
			parts = append(parts, l.Name+" "+short(l.Took))
		}
	}
	return strings.Join(parts, ", ")
}

// short is a number of seconds for people.
func short(s float64) string {
	switch {
	case s < 0.0005:
		return "<1 ms"
	case s < 0.0995:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s < 60:
		return fmt.Sprintf("%.2f s", s)
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// row is a line of the table.
type row struct {
	section, name string
	start         float64
	took          string
	parts         []part
}

// part is a piece of a bar.
type part struct {
	from, to float64
	char     rune
}

func textRows(t Timeline) []row {
	var rows []row
	for _, p := range t.Phases {
		end := t.endOr(p.End)
		prepared := p.Start
		if p.Prepared != nil {
			prepared = *p.Prepared
		}
		rows = append(rows, row{"PHASE", p.Name, p.Start, failed(short(end-p.Start), p.Error), []part{
			{p.Start, prepared, charPrepare}, {prepared, end, charDo}}})
		for _, s := range t.longSteps(p) {
			end := t.endOr(s.End)
			rows = append(rows, row{"PHASE", "  " + s.Name, s.Start, failed(short(end-s.Start), s.Error), []part{{s.Start, end, charDo}}})
		}
	}
	for _, p := range t.Pods {
		for i, c := range p.Containers {
			if len(c.Runs) == 0 {
				continue
			}
			r := row{section: "CONTAINER", name: label(p, c), start: c.Runs[0].Start, took: "-"}
			if i == 0 {
				for _, wait := range p.Waits {
					r.parts = append(r.parts, part{wait.Start, t.endOr(wait.End), charWait})
				}
			}
			r.parts = append(r.parts, t.instances(c)...)
			if ready := c.firstReady(); ready != nil {
				r.took = short(*ready - c.Runs[0].Start)
				if c.Runs[0].Adopted {
					r.took = "adopted"
				}
			}
			rows = append(rows, r)
		}
		if len(p.Containers) == 0 && len(p.Waits) > 0 { // never started
			first := p.Waits[0]
			rows = append(rows, row{"CONTAINER", p.Name, first.Start, "-", []part{{first.Start, t.endOr(first.End), charWait}}})
		}
	}
	return rows
}

// instances are the bars of a container's runs; the exits come last, over what follows them.
func (t Timeline) instances(c Container) []part {
	var parts, exits []part
	for _, g := range c.Runs {
		end := t.endOr(g.End)
		parts = append(parts, part{g.Start, end, charStart})
		if g.Ready != nil {
			parts = append(parts, part{*g.Ready, end, charReady})
		}
		if g.End != nil {
			exits = append(exits, part{*g.End, *g.End, charExit})
		}
	}
	return append(parts, exits...)
}

func failed(took, err string) string {
	if err != "" {
		return "✗ " + took
	}
	return took
}

// endOr is an end, or that of the timeline for what did not end.
func (t Timeline) endOr(end *float64) float64 {
	if end == nil {
		return t.End
	}
	return *end
}

// firstReady is when the container became ready for the first time.
func (c Container) firstReady() *float64 {
	for _, g := range c.Runs {
		if g.Ready != nil {
			return g.Ready
		}
	}
	return nil
}

// label names a container, by its pod alone if that says it.
func label(p Pod, c Container) string {
	if len(p.Containers) == 1 {
		return p.Name
	}
	return p.Name + "/" + c.Name
}

// together makes one of the steps that were done in one go: files that are written at once.
func (t Timeline) together(steps []Step) []Step {
	const moment = 0.002
	var out []Step
	name, more := "", 0
	for i, s := range steps {
		last := len(out) - 1
		if last >= 0 && s.Error == "" && out[last].Error == "" && s.Start-steps[i-1].Start < moment &&
			math.Abs(t.endOr(s.End)-t.endOr(steps[i-1].End)) < moment {
			more++
			out[last].End = s.End
			out[last].Name = fmt.Sprintf("%s, and %d more", name, more)
			continue
		}
		out, name, more = append(out, s), s.Name, 0
	}
	return out
}

// longSteps are the steps of a phase that are worth a line: at most three, and of those a hundredth of
// the whole, or what failed.
func (t Timeline) longSteps(p Phase) []Step {
	took := func(s Step) float64 { return t.endOr(s.End) - s.Start }
	long := slices.DeleteFunc(t.together(p.Steps), func(s Step) bool {
		return s.Error == "" && (took(s) < 0.01 || took(s) < t.End/100)
	})
	if len(p.Steps) == 1 && len(long) == 1 && took(long[0]) > 0.9*(t.endOr(p.End)-p.Start) {
		return nil // it says what the phase says
	}
	slices.SortStableFunc(long, func(a, b Step) int { return compare(took(b), took(a)) })
	long = long[:min(len(long), 3)]
	slices.SortStableFunc(long, func(a, b Step) int { return compare(a.Start, b.Start) })
	return long
}

// axis maps seconds to columns.
type axis struct {
	end     float64
	columns int
}

func newAxis(end float64, columns int) axis { return axis{end: max(end, 0.001), columns: columns} }

func (a axis) column(at float64) int {
	return min(max(int(at/a.end*float64(a.columns)), 0), a.columns-1)
}

func (a axis) bar(parts []part) string {
	line := []rune(strings.Repeat(" ", a.columns))
	for _, p := range parts {
		shown := p.char == charExit || p.char == charReady // also if it took no time, as readiness at the end of the axis
		if p.to < p.from || p.to == p.from && !shown && line[a.column(p.from)] != ' ' {
			continue
		}
		for i := a.column(p.from); i <= a.column(max(p.from, p.to-a.end/float64(a.columns)/2)); i++ {
			line[i] = p.char
		}
	}
	return string(line)
}

// scale writes the seconds where they are.
func (a axis) scale() string {
	line := []rune(strings.Repeat(" ", a.columns))
	step := tick(a.end, max(a.columns/7, 2))
	free := 0
	for i := 0; float64(i)*step <= a.end; i++ {
		at := a.column(float64(i) * step)
		text := []rune(tickText(float64(i)*step, step))
		if at < free || at+len(text) > a.columns {
			continue
		}
		copy(line[at:], text)
		free = at + len(text) + 1
	}
	return string(line)
}

// tick is a round distance of at most so many marks on an axis.
func tick(end float64, most int) float64 {
	for step := 0.001; ; step *= 10 {
		for _, by := range []float64{1, 2, 5} {
			if end/(step*by) <= float64(most) {
				return step * by
			}
		}
	}
}

func tickText(at, step float64) string {
	digits := 0
	for s := step; s < 0.999 && digits < 3; s *= 10 {
		digits++
	}
	return fmt.Sprintf("%.*fs", digits, at)
}

func legend(rows []row) string {
	parts := []string{}
	if slices.ContainsFunc(rows, func(r row) bool { return r.section == "PHASE" }) {
		parts = append(parts, "phases: ▒ prepare  █ do")
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.section == "CONTAINER" }) {
		parts = append(parts, "containers: · wait for another  ▒ start  █ ready  × exit (TOOK: from start to ready)")
	}
	return strings.Join(parts, "\n")
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// cut shortens a text to a width.
func cut(text string, width int) string {
	if r := []rune(text); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return text
}

// squeeze shortens a text in its middle: of a step, the verb and the end of the path say most.
func squeeze(text string, width int) string {
	r := []rune(text)
	if len(r) <= width || width < 8 {
		return cut(text, width)
	}
	tail := width / 2
	return string(r[:width-tail-1]) + "…" + string(r[len(r)-tail:])
}

func wrap(text string, width int) string {
	var lines []string
	line := ""
	for word := range strings.SplitSeq(text, ", ") {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+utf8.RuneCountInString(word)+3 > width:
			lines = append(lines, line+",")
			line = "  " + word
		default:
			line += ", " + word
		}
	}
	return strings.Join(append(lines, line), "\n")
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
