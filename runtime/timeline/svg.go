package timeline

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// The picture's measures, in pixels.
const (
	svgWidth   = 1180
	svgLeft    = 250 // of the chart; labels are left of it
	svgRight   = 1064
	svgTop     = 104 // of the first row
	rowHeight  = 24
	stepHeight = 18
	groupSpace = 34 // for the head of a group
	charWidth  = 6.4
)

// svgStyle has every color twice: the browser takes the one that fits its user. Nothing is loaded from elsewhere.
const svgStyle = `
  svg { --bg: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #d8dee4; --band: #f6f8fa; --prepare: #9ec5fe; --do: #0969da;
    --step: #54aeff; --wait: #afb8c1; --start: #f2b84b; --live: #86d993; --ready: #2da44e;
    --bad: #cf222e; --good: #116329; --path: #8250df }
  @media (prefers-color-scheme: dark) {
    svg { --bg: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #30363d; --band: #151b23; --prepare: #264f86; --do: #4493f8;
      --step: #316dca; --wait: #656c76; --start: #bb8009; --live: #1f6f35; --ready: #3fb950;
      --bad: #f85149; --good: #7ee787; --path: #b083f0 }
  }
  text { font: 12px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: var(--ink) }
  .bg { fill: var(--bg) } .band { fill: var(--band) } .soft { fill: var(--soft) } .end { text-anchor: end } .mid { text-anchor: middle }
  .title { font-size: 17px; font-weight: 600 } .head { font-size: 11px; font-weight: 600; letter-spacing: .06em; fill: var(--soft) }
  .small { font-size: 11px; fill: var(--soft) } .grid { stroke: var(--grid) } .crit { font-weight: 600 } .dot { fill: var(--path) }
  .prepare { fill: var(--prepare) } .do { fill: var(--do) } .step { fill: var(--step) } .start { fill: var(--start) }
  .live { fill: var(--live) } .ready { fill: var(--ready) } .bad { fill: var(--bad) }
  .wait { fill: none; stroke: var(--wait); stroke-dasharray: 3 3 } .ok { stroke: var(--good); stroke-width: 2 }
  .no { stroke: var(--bad); stroke-width: 1; stroke-opacity: .75 } .goal { stroke: var(--ready); stroke-width: 1.5; stroke-dasharray: 5 3 }
  .exit { stroke: var(--bad); stroke-width: 2.5 } .goaltext { fill: var(--ready); font-weight: 600 } .badtext { fill: var(--bad) }
`

// SVG draws the timeline: phases and their long steps, and containers with their probes, as bars on one axis. It is a
// document of its own, without script, for any browser.
func SVG(w io.Writer, t Timeline) error {
	d := drawing{t: t, end: max(t.End, 0.001), y: svgTop}
	if len(t.Phases) > 0 {
		d.group("PHASES")
		for _, p := range t.Phases {
			d.phase(p)
		}
		d.y += 8
	}
	if len(t.Pods) > 0 {
		d.group("CONTAINERS")
		for _, p := range t.Pods {
			d.pod(p)
		}
	}
	bottom := d.y + 6
	var head strings.Builder
	height := bottom + 82
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`+"\n",
		svgWidth, height, svgWidth, height)
	fmt.Fprintf(&head, "<title>%s</title>\n<style>%s</style>\n", escape(t.title()), svgStyle)
	fmt.Fprintf(&head, `<rect class="bg" width="%d" height="%d"/>`+"\n", svgWidth, height)
	_, err := io.WriteString(w, head.String()+d.bands.String()+d.frame(bottom)+d.b.String()+d.legend(bottom+22)+"</svg>\n")
	return err
}

// drawing is a picture in the making.
type drawing struct {
	t     Timeline
	end   float64 // of the axis, in seconds
	y     int     // of the next row
	rows  int
	bands strings.Builder // behind the grid
	b     strings.Builder // before it
}

func (d *drawing) x(at float64) float64 {
	return svgLeft + math.Round(min(max(at, 0), d.end)/d.end*(svgRight-svgLeft)*10)/10
}

// group begins a group of rows.
func (d *drawing) group(name string) {
	fmt.Fprintf(&d.b, `<text class="head" x="16" y="%d">%s</text>`+"\n", d.y+groupSpace-12, name)
	d.y += groupSpace
	d.rows = 0
}

// row begins a row, with a stripe behind every other one.
func (d *drawing) row(height int) (y int) {
	if d.rows%2 == 0 {
		fmt.Fprintf(&d.bands, `<rect class="band" x="8" y="%d" width="%d" height="%d"/>`+"\n", d.y, svgWidth-16, height)
	}
	d.rows++
	y = d.y
	d.y += height
	return y
}

// label writes a row's name, with a dot if it is part of the critical chain.
func (d *drawing) label(y int, name, class string, critical bool) {
	x := 28
	if class == "small" {
		x = 40
	}
	if critical {
		fmt.Fprintf(&d.b, `<circle class="dot" cx="18" cy="%d" r="3.5"/>`, y-4)
		class += " crit"
	}
	fmt.Fprintf(&d.b, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", strings.TrimSpace(class), x, y,
		escape(squeeze(name, int(float64(svgLeft-x-6)/charWidth))))
}

// bar draws a piece of a bar; what is too short to be seen is a pixel and a half wide.
func (d *drawing) bar(class string, y, height int, from, to float64) {
	fmt.Fprintf(&d.b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="1.5"/>`,
		class, d.x(from), y, max(d.x(to)-d.x(from), 1.5), height)
}

// beside writes a text right of a bar, or left of it where there is no room.
func (d *drawing) beside(y int, from, to float64, text, class string) {
	width := float64(utf8.RuneCountInString(text)) * charWidth
	x, anchor := d.x(to)+6, ""
	if x+width > svgWidth-8 {
		x, anchor = d.x(from)-6, " end"
	}
	if anchor != "" && x-width < svgLeft { // over the bar, at its end
		x = d.x(to) - 6
	}
	fmt.Fprintf(&d.b, `<text class="%s%s" x="%.1f" y="%d">%s</text>`+"\n", class, anchor, x, y, escape(text))
}

func (d *drawing) tip(text string) {
	fmt.Fprintf(&d.b, "<g><title>%s</title>", escape(text))
}

func (d *drawing) phase(p Phase) {
	y, end := d.row(rowHeight), d.t.endOr(p.End)
	d.label(y+16, p.Name, "", d.t.isCritical("phase", p.Name))
	d.tip(fmt.Sprintf("%s: %s\nfrom %s to %s, %d steps\n%s", p.Name, p.Short, short(p.Start), short(end), len(p.Steps), p.Error))
	if p.Prepared != nil {
		d.bar("prepare", y+5, 14, p.Start, *p.Prepared)
		d.bar(pick(p.Error != "", "bad", "do"), y+5, 14, *p.Prepared, end)
	} else {
		d.bar(pick(p.Error != "", "bad", "do"), y+5, 14, p.Start, end)
	}
	d.b.WriteString("</g>")
	d.beside(y+16, p.Start, end, failed(short(end-p.Start), p.Error), pick(p.Error != "", "badtext", "soft"))
	for _, s := range d.t.longSteps(p) {
		y, end := d.row(stepHeight), d.t.endOr(s.End)
		d.label(y+13, s.Name, "small", false)
		d.tip(fmt.Sprintf("%s\nfrom %s to %s, %s %s %s", s.Name, short(s.Start), short(end), s.State, s.Detail, s.Error))
		d.bar(pick(s.Error != "", "bad", "step"), y+5, 8, s.Start, end)
		d.b.WriteString("</g>")
		d.beside(y+13, s.Start, end, failed(short(end-s.Start), s.Error), "small")
	}
}

func (d *drawing) pod(p Pod) {
	if len(p.Containers) == 0 {
		y := d.row(rowHeight)
		d.label(y+16, p.Name, "", false)
		d.waits(p, y)
		d.b.WriteString("\n")
	}
	for i, c := range p.Containers {
		y := d.row(rowHeight)
		d.label(y+16, label(p, c), "", d.t.isCritical("pod", p.Name))
		if i == 0 {
			d.waits(p, y)
		}
		d.container(c, y)
	}
}

func (d *drawing) waits(p Pod, y int) {
	for _, wait := range p.Waits {
		from, to := wait.Start, d.t.endOr(wait.End)
		d.tip(fmt.Sprintf("%s waits for %s, from %s to %s", p.Name, wait.For, short(from), short(to)))
		d.bar("wait", y+6, 12, from, to)
		d.b.WriteString("</g>")
		if text := "waits for " + wait.For; d.x(to)-d.x(from) > charWidth*float64(len(text)) {
			fmt.Fprintf(&d.b, `<text class="small mid" x="%.1f" y="%d">%s</text>`, (d.x(from)+d.x(to))/2, y+16, escape(text))
		}
	}
}

func (d *drawing) container(c Container, y int) {
	for _, g := range c.Runs {
		end := d.t.endOr(g.End)
		started, ready := end, end
		if g.Started != nil {
			started = *g.Started
		}
		if g.Ready != nil {
			ready = *g.Ready
		}
		started = min(started, ready)
		d.tip(instanceText(c.Name, g))
		d.bar("start", y+5, 14, g.Start, started)
		if ready > started {
			d.bar("live", y+5, 14, started, ready)
		}
		if g.Ready != nil {
			d.bar("ready", y+5, 14, ready, end)
		}
		d.b.WriteString("</g>")
	}
	for _, p := range c.Probes {
		class, from, to := "no", y+15, y+21
		if p.OK {
			class, from, to = "ok", y+3, y+21
		}
		x := d.x(p.At)
		fmt.Fprintf(&d.b, `<path class="%s" d="M%.1f %dV%d"><title>%s</title></path>`, class, x, from, to,
			escape(fmt.Sprintf("%s: %s", short(p.At), or(p.Text, p.Kind+" probe succeeded"))))
	}
	for _, g := range c.Runs { // over the bars of the runs after them
		if g.End != nil {
			fmt.Fprintf(&d.b, `<path class="exit" d="M%.1f %dl8 8m0 -8l-8 8"><title>%s</title></path>`, d.x(*g.End)-4, y+8, escape(g.Exit))
		}
	}
	if ready := c.firstReady(); ready != nil {
		from := c.Runs[0].Start
		d.beside(y+16, from, d.t.End, pick(c.Runs[0].Adopted, "adopted", "ready in "+short(*ready-from)), "soft")
		return
	}
	if len(c.Runs) > 0 {
		d.beside(y+16, c.Runs[0].Start, d.t.End, "not ready", "badtext")
	}
}

func instanceText(name string, g Instance) string {
	lines := []string{fmt.Sprintf("%s: started at %s", name, short(g.Start))}
	if g.Adopted {
		lines[0] = name + ": ran already, and was adopted"
	}
	if g.Started != nil && *g.Started > g.Start {
		lines = append(lines, "startup probe succeeded at "+short(*g.Started))
	}
	if g.Ready != nil {
		lines = append(lines, "ready at "+short(*g.Ready))
	}
	if g.End != nil {
		lines = append(lines, g.Exit+" at "+short(*g.End))
	}
	return strings.Join(lines, "\n")
}

// frame is what lies around and behind the bars: title, axis, grid, and the moment when all was ready.
func (d *drawing) frame(bottom int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<text class="title" x="16" y="30">%s</text>`+"\n", escape(cut(d.t.title(), 120)))
	if text := d.t.criticalText(); text != "" {
		fmt.Fprintf(&b, `<circle class="dot" cx="21" cy="48" r="3.5"/><text class="soft" x="30" y="52">critical path: %s</text>`+"\n",
			escape(cut(text, 170)))
	}
	step := tick(d.end, 12)
	for i := 0; float64(i)*step <= d.end; i++ {
		x := d.x(float64(i) * step)
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %dV%d"/>`, x, svgTop, bottom)
		for _, y := range []int{svgTop - 6, bottom + 14} {
			fmt.Fprintf(&b, `<text class="small mid" x="%.1f" y="%d">%s</text>`+"\n", x, y, tickText(float64(i)*step, step))
		}
	}
	if d.t.Ready != nil {
		x := d.x(*d.t.Ready)
		text := "all ready " + short(*d.t.Ready)
		class := "goaltext mid"
		if x+float64(len(text))*charWidth/2 > svgWidth-8 {
			class = "goaltext end"
		}
		fmt.Fprintf(&b, `<path class="goal" d="M%.1f %dV%d"/><text class="%s" x="%.1f" y="%d">%s</text>`+"\n",
			x, svgTop-18, bottom, class, x, svgTop-22, text)
	}
	if d.t.Error != "" {
		line, _, _ := strings.Cut(d.t.Error, "\n")
		fmt.Fprintf(&b, `<text class="badtext" x="16" y="72">%s</text>`+"\n", escape(cut(line, 150)))
	}
	return b.String()
}

// legend explains the colors.
func (d *drawing) legend(y int) string {
	var b strings.Builder
	x := 28.0
	line := func(items ...[2]string) {
		x = 28
		for _, item := range items {
			switch item[0] {
			case "no", "ok":
				fmt.Fprintf(&b, `<path class="%s" d="M%.1f %dv10"/>`, item[0], x+8, y-9)
			case "exit":
				fmt.Fprintf(&b, `<path class="exit" d="M%.1f %dl8 8m0 -8l-8 8"/>`, x+4, y-8)
			case "dot":
				fmt.Fprintf(&b, `<circle class="dot" cx="%.1f" cy="%d" r="3.5"/>`, x+8, y-4)
			default:
				fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%d" width="16" height="10" rx="1.5"/>`, item[0], x, y-9)
			}
			fmt.Fprintf(&b, `<text class="small" x="%.1f" y="%d">%s</text>`+"\n", x+22, y, item[1])
			x += 22 + charWidth*float64(len(item[1])) + 18
		}
		y += 20
	}
	y += 18
	if len(d.t.Phases) > 0 {
		line([2]string{"prepare", "compare, make in memory"}, [2]string{"do", "write, start, wait"}, [2]string{"step", "one step"},
			[2]string{"dot", "critical path: what the end waited for"})
	}
	line([2]string{"wait", "waits for another pod"}, [2]string{"start", "process runs"}, [2]string{"live", "startup probe succeeded"},
		[2]string{"ready", "ready"}, [2]string{"no", "probe failed"}, [2]string{"ok", "probe succeeded"}, [2]string{"exit", "exit"})
	return b.String()
}

// escape makes text of XML: a control character has no place in it, not even an escaped one.
func escape(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError))))
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
