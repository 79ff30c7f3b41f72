package docs

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := parse(strings.ReplaceAll(`# Title
<!-- as: nobody -->
<!-- web server: www at 127.0.0.1:1 -->
'''sh
$ not run
'''

'''console
$ cat <<EOF
> a
> EOF
a
$ false
(exit code 1)
'''
'''console root
$ id -u
0
...

'''
`, "'''", "```"))
	if err != nil {
		t.Fatal(err)
	}
	want := page{asNobody: true, web: webServer{"www", "127.0.0.1:1"}, blocks: []block{
		{line: 9, steps: []step{
			{line: 9, command: "cat <<EOF\na\nEOF\n", want: []string{"a"}},
			{line: 13, command: "false\n", code: 1},
		}},
		{line: 17, rootOnly: true, steps: []step{{line: 17, command: "id -u\n", want: []string{"0", "...", ""}}}},
	}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("parsed %+v\nwant %+v", p, want)
	}
}

// What is written wrongly must not be left out silently.
func TestParseErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"<!-- web server: www -->":                    "web server",
		"'''console\noutput\n'''":                     "output before the first command",
		"'''console\n'''":                             "without a command",
		"'''console rot\n$ id\n'''":                   "no kind of console block",
		"  '''console\n$ id\n'''":                     "indented",
		"'''console\n$ id\n":                          "does not end",
		"'''console\n$ id\n(exit code x)\n'''":        "no exit code",
		"'''console\n$ id\n(exit code 3)\nmore\n'''":  "output after the exit code",
		"'''console\n$ id\n(exit code 0)\n'''":        "no exit code",
		"'''console\n$ id\n(exit code 256)\nx\n'''\n": "no exit code",
	} {
		_, err := parse(strings.ReplaceAll(text, "'''", "```"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}
