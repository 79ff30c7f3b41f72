package strictyaml

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type hostile struct {
	Kind  string              `json:"kind"`
	Lists map[string][]string `json:"lists"`
	Texts []string            `json:"texts"`
}

// Hostile documents end in a problem, in under a second and under 100 MB.
func TestLimits(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, MaxSize/len(unit)) }
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'm'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]\n"
	}
	for name, text := range map[string]string{
		"too large":         strings.Repeat(" ", MaxSize+1),
		"open brackets":     fill("["),
		"open braces":       fill("{"),
		"braces and keys":   fill("{a: "),
		"nested lists":      fill("- "),
		"nested keys":       fill("? "),
		"deeper and deeper": deeper(400),
		"flow lists":        "texts: [" + fill("[],")[:MaxSize-100] + "]",
		"many items":        "texts: [" + fill("a,")[:MaxSize-100] + "]",
		"many lines":        "texts:\n" + fill("- a\n")[:MaxSize-100],
		"many unknown":      fill("a: b\n"),
		"many anchors":      fill("- &a b\n"),
		"bomb":              bomb,
		"bomb in a field":   strings.Replace(bomb, "a: &a", "texts: &a", 1),
		"alias of itself":   "texts: &a [*a]\n",
		"merge of itself":   "a: &a\n  <<: *a\n",
		"merge bomb":        mergeBomb(),
		"long text many times": "kind: &a " + strings.Repeat("x", 100_000) + "\ntexts: [" + strings.TrimSuffix(strings.Repeat("*a,",
			20_000), ",") + "]",
		"long name": "lists:\n  " + strings.Repeat("k", 100_000) + ": [" + strings.TrimSuffix(strings.Repeat("a,",
			20_000), ",") + "]",
		"comments":            fill("#\n") + "a",
		"comment on comment":  fill("# a # b\n"),
		"documents":           fill("---\n"),
		"documents with text": fill("---\na\n"),
		"tags":                fill("!a "),
		"percent":             fill("%"),
		"quotes":              fill("'"),
		"block":               "kind: |\n" + fill(" \n"),
		"question marks":      fill("?\n"),
		"colons":              fill(":"),
		"tabs":                fill("\t"),
		"long key":            strings.Repeat("k", MaxSize-1),
		"escapes":             `kind: "` + fill(`\x41`)[:MaxSize-100],
		"aliases":             "a: &a b\nc: [" + fill("*a,")[:MaxSize-100] + "]",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpuTime(t)
			documents, problems := Split([]byte(text))
			for _, d := range documents {
				var into hostile
				_, more := d.Decode(&into)
				problems = append(problems, more...)
				problems = append(problems, d.Check()...)
			}
			took := cpuTime(t) - start
			runtime.ReadMemStats(&after)
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%d problems, %v, %d MiB allocated", len(problems), took, allocated)
			if took > slower*time.Second || allocated > 100 {
				t.Errorf("took %v and %d MiB", took, allocated)
			}
			if len(problems) == 0 && len(documents) > 0 {
				t.Error("no problem found")
			}
		})
	}
}

// cpuTime is the process's, so that a busy machine does not count.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func deeper(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func mergeBomb() string {
	text := "a: &a {x: 1}\n"
	for c := 'b'; c < 'z'; c++ {
		text += string(c) + ": &" + string(c) + " {<<: [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]}\n"
	}
	return text
}
