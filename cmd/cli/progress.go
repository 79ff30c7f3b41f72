package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/printable"
	"github.com/kubecrank/kubecrank/redact"
)

// progress shows on stderr what is being done, in kind's style:
//
//	terminal   one spinner line with all that runs, and a line " ✓ name: text" for each thing that ended
//	pipe       " ✓ name: text" when something ended, " • name: text ..." for what takes longer than a second, and " • news"
//	-q         nothing
//
// Several things may run at once. Failure is the default: what was started and
// not done when close is called is shown as failed.
type progress struct {
	w     io.Writer
	live  bool
	width int

	mu      sync.Mutex
	running []*task
	frame   int
	stop    chan struct{}
	stopped sync.WaitGroup
}

// task is one thing that is being done.
type task struct {
	p     *progress
	name  string
	text  string // what it does
	news  string // how far it is
	began time.Time
	told  bool // a pipe has been told that it runs
}

// The look of a live line.
const (
	frameTime  = 100 * time.Millisecond
	slowTask   = time.Second
	clearLine  = "\r\x1b[K"
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	green      = "\x1b[32m"
	red        = "\x1b[31m"
	plain      = "\x1b[0m"
)

// spinner is the picture of a frame.
func spinner(frame int) string {
	pictures := [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	return pictures[frame%len(pictures)]
}

// newProgress starts showing; close ends it.
func (a *app) newProgress() *progress {
	p := &progress{w: a.stdio.Err, live: a.stdio.isTerminal(a.stdio.Err), stop: make(chan struct{})}
	if a.global.quiet {
		p.w, p.live = io.Discard, false
	}
	if p.live {
		p.width = a.stdio.width(a.stdio.Err)
		fmt.Fprint(p.w, hideCursor)
	}
	p.stopped.Go(p.animate)
	return p
}

// start shows that something is being done.
func (p *progress) start(name, text string) *task {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &task{p: p, name: name, text: forPeople(text), began: time.Now()}
	p.running = append(p.running, t)
	p.draw()
	return t
}

// end takes a task off the screen and leaves a line about it.
func (t *task) end(ok bool) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.p.finish(t, ok)
}

// say shows how far a task is.
func (t *task) say(news string) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if news = forPeople(news); t.news == news {
		return
	}
	t.news = news
	if !t.p.live {
		if time.Since(t.began) >= frameTime { // else it found things done, which is no news
			t.told = true
			t.p.line("• " + news)
		}
		return
	}
	t.p.draw()
}

// line is the text of a task that runs.
func (t *task) line() string {
	if t.news == "" {
		return t.name + ": " + t.text + " ..."
	}
	return t.name + ": " + t.news
}

// note leaves a line.
func (p *progress) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(forPeople(fmt.Sprintf(format, args...)))
}

// forPeople hides credentials and control characters.
func forPeople(text string) string { return printable.String(redact.Text(text)) }

// close shows what still runs as failed, and gives the terminal back.
func (p *progress) close() {
	close(p.stop)
	p.stopped.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.running) > 0 {
		p.finish(p.running[0], false)
	}
	if p.live {
		fmt.Fprint(p.w, clearLine, showCursor)
	}
}

func (p *progress) finish(t *task, ok bool) {
	for i, r := range p.running {
		if r == t {
			p.running = append(p.running[:i], p.running[i+1:]...)
			break
		}
	}
	took := ""
	if d := time.Since(t.began); d >= 10*time.Millisecond {
		took = " (" + seconds(d) + ")"
	}
	p.line(p.mark(ok) + " " + t.name + ": " + t.text + took)
}

func (p *progress) mark(ok bool) string {
	sign, color := "✓", green
	if !ok {
		sign, color = "✗", red
	}
	if p.live {
		sign = color + sign + plain
	}
	return sign
}

// line writes a line that stays. The lock is held.
func (p *progress) line(text string) {
	if p.live {
		fmt.Fprint(p.w, clearLine)
	}
	fmt.Fprintf(p.w, " %s\n", text)
	p.draw()
}

// draw shows what runs on the one live line. The lock is held.
func (p *progress) draw() {
	if !p.live || len(p.running) == 0 {
		return
	}
	texts := make([]string, len(p.running))
	for i, t := range p.running {
		texts[i] = t.line()
	}
	text := []rune(strings.Join(texts, ", "))
	if most := p.width - 4; most > 0 && len(text) > most {
		text = append(text[:most-1], '…')
	}
	fmt.Fprintf(p.w, "%s %s %s", clearLine, spinner(p.frame), string(text))
}

// animate moves the spinner, and tells a pipe of what is slow.
func (p *progress) animate() {
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		p.frame++
		p.draw()
		for _, t := range p.running {
			if !p.live && !t.told && time.Since(t.began) >= slowTask {
				t.told = true
				p.line("• " + t.line())
			}
		}
		p.mu.Unlock()
	}
}

// seconds formats a duration for people: "0.03 s", "3.6 s", "2m10s".
func seconds(d time.Duration) string {
	switch {
	case d < 995*time.Millisecond:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
