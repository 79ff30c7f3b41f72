package strictyaml

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type meta struct {
	Kind string `json:"kind"`
}

type period struct{ time.Duration }

func (p *period) UnmarshalText(text []byte) (err error) {
	p.Duration, err = time.ParseDuration(string(text))
	return err
}

type inner struct {
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
}

type thing struct {
	meta    `json:",inline"`
	Text    string            `json:"text"`
	Bool    bool              `json:"bool"`
	Number  int32             `json:"number"`
	Pointer *bool             `json:"pointer"`
	List    []inner           `json:"list"`
	Words   []string          `json:"words"`
	Map     map[string]string `json:"map"`
	Nested  *inner            `json:"nested"`
	Period  *period           `json:"period"`
	When    *time.Time        `json:"when"`
	Token   *period           `json:"token" datapolicy:"token"`
	Hidden  string            `json:"-"`
}

func decode(t *testing.T, text string) (thing, map[string]int, []Problem) {
	t.Helper()
	documents, problems := Split([]byte(text))
	if len(documents) != 1 {
		t.Fatalf("%d documents, %v", len(documents), problems)
	}
	var out thing
	lines, more := documents[0].Decode(&out)
	return out, lines, append(problems, more...)
}

// What kubeadm reads is read, and means the same.
func TestDecode(t *testing.T) {
	t.Parallel()
	yes := true
	when := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]thing{
		"kind: a":                              {meta: meta{"a"}},
		"text: plain words":                    {Text: "plain words"},
		"text: '5'":                            {Text: "5"},
		"text: \"null\"":                       {Text: "null"},
		"text: 'yes'":                          {Text: "yes"},
		"text: !!str 5":                        {Text: "5"},
		"text: 2030-01-02":                     {Text: "2030-01-02"},
		"text: |\n  a\n  b\n":                  {Text: "a\nb\n"},
		"text: null":                           {},
		"text:":                                {},
		"text: ~":                              {},
		"bool: yes":                            {Bool: true},
		"bool: Off":                            {},
		"number: -5":                           {Number: -5},
		"pointer: on":                          {Pointer: &yes},
		"list: [{name: a, value: b}]":          {List: []inner{{"a", "b"}}},
		"list: []":                             {List: []inner{}},
		"list: [null]":                         {List: []inner{{}}},
		"words:\n- a\n- \"1\"":                 {Words: []string{"a", "1"}},
		"map: {a: b, \"1\": c}":                {Map: map[string]string{"a": "b", "1": "c"}},
		"nested: {name: a}":                    {Nested: &inner{Name: "a"}},
		"nested: {}":                           {Nested: &inner{}},
		"nested: null":                         {},
		"period: 1m":                           {Period: &period{time.Minute}},
		"when: 2030-01-02T03:04:05Z":           {When: &when},
		"when: \"2030-01-02T03:04:05Z\"":       {When: &when},
		`{"text": "a\tb", "number": 7}`:        {Text: "a\tb", Number: 7},
		"{\n\t\"number\":\t7\n}":               {Number: 7},
		"text: a\r\nnumber: 1\r\n":             {Text: "a", Number: 1},
		"\ufefftext: a":                        {Text: "a"},
		"%YAML 1.1\n# c\n---\ntext: a\n...\n":  {Text: "a"},
		"--- {text: a}":                        {Text: "a"},
		"nested: &n {name: a}\nlist: [*n, *n]": {Nested: &inner{Name: "a"}, List: []inner{{Name: "a"}, {Name: "a"}}},
		"nested: &n {name: a, value: b}\nlist:\n- <<: *n\n  value: c\n": {Nested: &inner{"a", "b"}, List: []inner{{"a", "c"}}},
		"nested: {<<: [{name: a}, {name: b, value: c}]}":                {Nested: &inner{"a", "c"}},
	} {
		got, _, problems := decode(t, text)
		if !reflect.DeepEqual(got, want) || len(problems) > 0 {
			t.Errorf("%q: %+v %+v", text, got, problems)
		}
	}
}

// A problem says where, what and how to put it right, and the rest is decoded.
func TestDecodeProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"kind: a\nx: 1":                          "2 x: there is no such field",
		"Hidden: a":                              "1 Hidden: there is no such field",
		"text: 5":                                "1 text: it is a number, not a text",
		"text: 0x10":                             "1 text: it is a number, not a text",
		"text: on":                               "1 text: it is the boolean on, not a text",
		"text:\n  a: b":                          "1 text: it is a mapping, not a text",
		"bool: 'true'":                           "1 bool: it is a text, not true or false",
		"number: '1'":                            "1 number: it is a text, not a whole number that fits",
		"number: 4294967296":                     "1 number: it is a number, not a whole number that fits",
		"number: 1e3":                            "1 number: it is a number, not a whole number that fits",
		"list:\n- name: a\n- b\n":                "3 list[1]: it is a text, not a mapping",
		"list:\n- name: a\n  nam: b\n":           "3 list[0].nam: there is no such field",
		"words: a":                               "1 words: it is a text, not a list",
		"map: {a: 1}":                            "1 map.a: it is a number, not a text",
		"map: [a]":                               "1 map: it is a list, not a mapping",
		"nested: a":                              "1 nested: it is a text, not a mapping",
		"period: 5":                              "1 period: time: missing unit in duration \"5\" (5)",
		"period: {a: b}":                         "1 period: it is a mapping, not a text",
		"token: hunter2":                         "1 token: time: invalid duration \"hunter2\"",
		"text: a\n\ntext: b":                     "3 text: it is given twice, first in line 1",
		"nested: {name: a, name: b}":             "1 nested.name: it is given twice, first in line 1",
		"? [a]\n: b":                             "1 : the name of a field is a list",
		"- a":                                    "1 : it is a list, not a mapping",
		"nested: {<<: a}":                        "1 nested: the merge key << has a text, not a mapping",
		"text: !x a":                             "1 text: it is of the type !x, not a text",
		"# c\n---\n# d\n---\nx: 1\n":             "5 x: there is no such field",
		"words: &w [a]\nlist:\n- value: b\n- *w": "4 list[1]: it is a list, not a mapping",
	} {
		_, _, problems := decode(t, text)
		if len(problems) != 1 || problems[0].Remedy == "" {
			t.Errorf("%q: %+v", text, problems)
			continue
		}
		got := fmt.Sprintf("%d %s: %s", problems[0].Line, problems[0].Path, problems[0].Text)
		if v := problems[0].Value; v != "" {
			got += " (" + v + ")"
		}
		if got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
	if got, _, problems := decode(t, "x: 1\ntext: a\nnumber: b\nbool: yes"); got.Text != "a" || !got.Bool || len(problems) != 2 {
		t.Errorf("%+v %+v", got, problems)
	}
}

// Lines are those of the file, whatever the document.
func TestLines(t *testing.T) {
	t.Parallel()
	_, lines, _ := decode(t, "# a comment\n---\n# another\n---\nkind: a\nlist:\n  - name: b\n    value: c\n  - {}\nnested:\n  name: d\n")
	want := map[string]int{"kind": 5, "list": 6, "list[0]": 7, "list[0].name": 7, "list[0].value": 8, "list[1]": 9, "nested": 10,
		"nested.name": 11}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("%v", lines)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"a: b":                             "1",
		"---\na: b\n---\nc: d\n":           "1 3",
		"a: |\n  ---\nb: c\n":              "1",
		"a: b\n---\n\n---\n# c\n---\nc: d": "1 6",
		"a: b\r\n---\r\nc: d\r\n":          "1 2",
		"---- a":                           "1",
		"--- # c\na: b":                    "1",
		"a: b\n---\na: [\n---\nc: d\n":     "1 4 !3",
		"a: b\n...\n---\nc: d\n":           "1 3",
		"%YAML 1.1\n---\na: b\n---\nc: d":  "1 4",
		"a: \"\n--- \"\n":                  "!1 !2",
		"a: b\n--- |\n text\n":             "1 2",
	} {
		documents, problems := Split([]byte(text))
		var got []string
		for _, d := range documents {
			got = append(got, fmt.Sprint(d.Line))
		}
		for _, p := range problems {
			got = append(got, fmt.Sprintf("!%d", p.Line))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s\n%+v", text, got, want, problems)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	candidates := []string{"serviceSubnet", "podSubnet", "dnsDomain", "name", "v", "secure-port", "feature-gates"}
	for in, want := range map[string]string{"serviceSubnets": "serviceSubnet", "PODSUBNET": "podSubnet", "dnsdomian": "dnsDomain",
		"serviceCIDR": "", "nane": "name", "": "", "x": "", strings.Repeat("n", 1000): "", "service": "serviceSubnet",
		"secureport": "secure-port", "no-such-flag": "", "w": ""} {
		if got := Nearest(in, candidates); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// What is decoded is what encoding/json makes of the same document: fields have the names that they say.
func TestFields(t *testing.T) {
	t.Parallel()
	var asJSON map[string]any
	encoded, err := json.Marshal(struct{ inner }{})
	if err != nil || json.Unmarshal(encoded, &asJSON) != nil {
		t.Fatal(err)
	}
	if got := strings.Join(Fields(&thing{}), " "); got != "bool kind list map nested number period pointer text token when words" {
		t.Error(got)
	}
}
