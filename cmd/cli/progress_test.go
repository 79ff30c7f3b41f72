package cli

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A pipe gets one plain line per thing that ended, one more for what is slow,
// and no control characters; what never ended counts as failed.
func TestProgressInPipe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		a := &app{stdio: Stdio{Err: &b}}
		p := a.newProgress()
		fast, slow, lost := p.start("certs", "make certificates"), p.start("wait", "until ready"), p.start("lost", "for ever")
		time.Sleep(200 * time.Millisecond)
		fast.end(true)
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		slow.say("etcd is ready")
		slow.say("etcd is ready")
		time.Sleep(2 * time.Second)
		slow.end(true)
		_ = lost
		p.close()
		want := ` ✓ certs: make certificates (0.20 s)
 • wait: until ready ...
 • lost: for ever ...
 • etcd is ready
 ✓ wait: until ready (3.1 s)
 ✗ lost: for ever (3.1 s)
`
		if b.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
		}
	})
}

// -q silences all of it.
func TestProgressQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		a := &app{stdio: Stdio{Err: &b}, global: globalFlags{quiet: true}}
		p := a.newProgress()
		p.start("x", "y").end(true)
		p.note("y")
		p.close()
		if b.Len() != 0 {
			t.Errorf("-q wrote %q", b.String())
		}
	})
}

// On a terminal, one live line holds all that runs, cut to the terminal's
// width, and each line that stays is written over it.
func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		p := &progress{w: &b, live: true, width: 24, stop: make(chan struct{})}
		p.stopped.Go(p.animate)
		one, two := p.start("certs", "make them"), p.start("components", "stage")
		two.say("half")
		one.end(true)
		two.end(false)
		p.close()
		for _, want := range []string{
			clearLine + " ⠋ certs: make them ...",
			clearLine + " ⠋ certs: make them ..…",
			clearLine + " " + green + "✓" + plain + " certs: make them\n",
			clearLine + " ⠋ components: half",
			clearLine + " " + red + "✗" + plain + " components: stage\n",
			showCursor,
		} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%q is missing in %q", want, b.String())
			}
		}
	})
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		3 * time.Millisecond: "0.00 s", 30 * time.Millisecond: "0.03 s", 996 * time.Millisecond: "1.0 s",
		3610 * time.Millisecond: "3.6 s", 130 * time.Second: "2m10s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%v) = %q, want %q", d, got, want)
		}
	}
}
