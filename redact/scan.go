package redact

import (
	"regexp"
	"strings"
)

// Places inside a line. Of each match the groups "before" and "after" stay, and "secret" is hidden if "name" is secret or there is none.
var (
	inURL        = regexp.MustCompile(`(?P<before>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<secret>[^/\s"'<>]+)(?P<after>@)`)
	inHeader     = regexp.MustCompile(`(?P<before>(?i:authorization):\s*(?i:bearer|basic)\s+)(?P<secret>[^\s"']+)`)
	inParameter  = regexp.MustCompile(`(?P<before>[?&](?P<name>[\w.-]+)=)(?P<secret>[^&\s"'#]+)`)
	inAssignment = regexp.MustCompile(`(?P<before>\b(?P<name>[A-Z][A-Z0-9]*_[A-Z0-9_]*|[A-Z]{3,})=["']?)(?P<secret>[^\s"',]+)`)
	inFlag       = regexp.MustCompile(`(?P<before>(?:^|[\s"'\[,])--?(?P<name>[a-z][a-zA-Z0-9.-]*)=["']?)(?P<secret>[^\s"',\]]+)`)
	inFlow       = regexp.MustCompile(`(?P<before>"?name"?:\s*["']?(?P<name>[\w.-]+)["']?,\s*"?value"?:\s*["']?)(?P<secret>[^"',}]+)`)
)

// Whole lines, in YAML or JSON.
var (
	field    = regexp.MustCompile(`^(\s*)(- +)?(["']?)(name|value)["']?:\s*(.*?),?\s*$`)
	flagItem = regexp.MustCompile(`^\s*- +["']?--?([a-z][a-zA-Z0-9.-]*)(=?)(.*?)["']?,?\s*$`)
	item     = regexp.MustCompile(`^(\s*- +["']?)([^-\s"'].*?)(["']?)\s*$`)
	keyBegin = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)
	keyEnd   = regexp.MustCompile(`-----END [A-Z ]*PRIVATE KEY-----`)
)

// scan replaces each credential in a text by what hide returns for it.
func scan(text string, hide func(string) string) string {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		switch value, ok := valueOf(lines, i); {
		case keyBegin.MatchString(lines[i]):
			i = hideKey(lines, i, hide)
		case ok && Secret(value.name, value.text):
			i = value.hide(lines, i, hide)
		case ok && isProxy(value.name) && strings.Contains(value.text, "@"):
			lines[i] = hideProxy(lines[i], value.text, hide)
		case flagItem.MatchString(lines[i]):
			lines[i] = hideFlag(lines, i, hide)
		default:
			lines[i] = hideInside(lines[i], hide)
		}
	}
	return strings.Join(lines, "\n")
}

func hideInside(line string, hide func(string) string) string {
	if !strings.ContainsAny(line, "=:") { // nothing that follows has neither
		return line
	}
	for _, place := range []*regexp.Regexp{inURL, inHeader, inParameter, inAssignment, inFlag, inFlow} {
		before, name, secret := place.SubexpIndex("before"), place.SubexpIndex("name"), place.SubexpIndex("secret")
		line = place.ReplaceAllStringFunc(line, func(match string) string {
			m := place.FindStringSubmatch(match)
			value := m[secret]
			switch {
			case strings.HasPrefix(value, Mark) || value == markOther, name >= 0 && !Secret(m[name], value):
				return match
			}
			return m[before] + hide(value) + strings.TrimPrefix(match, m[before]+value)
		})
	}
	return line
}

// hideKey hides the lines of a private key and returns the index of its last one.
func hideKey(lines []string, i int, hide func(string) string) int {
	for i++; i < len(lines) && !keyEnd.MatchString(lines[i]); i++ {
		if body := strings.TrimSpace(lines[i]); body != "" {
			lines[i] = strings.Replace(lines[i], body, hide(body), 1)
		}
	}
	return i
}

// hideFlag hides the value of a flag that is an item of a list: all of the rest of the line, or the next item.
func hideFlag(lines []string, i int, hide func(string) string) string {
	m := flagItem.FindStringSubmatch(lines[i])
	switch {
	case m[2] == "=" && m[3] != "" && Secret(m[1], m[3]):
		at := strings.Index(lines[i], "="+m[3]) + 1
		return lines[i][:at] + hide(m[3]) + lines[i][at+len(m[3]):]
	case m[2] == "" && m[3] == "" && i+1 < len(lines):
		if next := item.FindStringSubmatch(lines[i+1]); next != nil && Secret(m[1], next[2]) {
			lines[i+1] = next[1] + hide(next[2]) + next[3]
		}
	}
	return hideInside(lines[i], hide)
}

// hideProxy hides what stands before the host in the value of a proxy variable.
func hideProxy(line, value string, hide func(string) string) string {
	begin := strings.LastIndex(line, value)
	if at := strings.Index(value, "://"); at >= 0 {
		begin += at + len("://")
	}
	end := strings.LastIndexByte(line, '@')
	if end <= begin {
		return line
	}
	return line[:begin] + hide(line[begin:end]) + line[end:]
}

// namedValue is a line "value: ..." and the name beside it.
type namedValue struct {
	name, text string
	column     int
}

// valueOf reads a line "value: ...", and finds the "name: ..." of the same item above or below it.
func valueOf(lines []string, i int) (namedValue, bool) {
	key, value, column, first := fieldOf(lines[i])
	if key != "value" {
		return namedValue{}, false
	}
	v := namedValue{text: unquoted(value), column: column}
	for j := i - 1; j >= 0 && !first; j-- {
		k, text, at, starts := fieldOf(lines[j])
		switch {
		case k == "name" && at == column:
			v.name = unquoted(text)
			return v, true
		case k == "" && indent(lines[j]) <= column, starts:
			first = true
		}
	}
	for j := i + 1; j < len(lines); j++ {
		k, text, at, starts := fieldOf(lines[j])
		switch {
		case k == "name" && at == column && !starts:
			v.name = unquoted(text)
			return v, true
		case k == "" && indent(lines[j]) <= column, starts:
			return v, false
		}
	}
	return v, false
}

// hide hides a value, with the lines that it goes on in, and returns the index of the last.
func (v namedValue) hide(lines []string, i int, hide func(string) string) int {
	last := i
	body := []string{v.text}
	if strings.HasPrefix(v.text, "|") || strings.HasPrefix(v.text, ">") {
		body = nil
	}
	for j := i + 1; j < len(lines) && indent(lines[j]) > v.column; j++ {
		last = j
		if text := strings.TrimSpace(lines[j]); text != "" {
			body = append(body, text)
			lines[j] = lines[j][:indent(lines[j])] + hide(text)
		}
	}
	if len(body) > 0 && body[0] == v.text && v.text != "" && v.text != Mark && v.text != markOther {
		at := strings.LastIndex(lines[i], v.text)
		lines[i] = lines[i][:at] + hide(v.text) + lines[i][at+len(v.text):]
	}
	return last
}

// fieldOf returns the key of a line if it is name or value, its text, the column of the key, and whether it begins an item.
func fieldOf(line string) (key, text string, column int, starts bool) {
	m := field.FindStringSubmatch(line)
	if m == nil {
		return "", "", 0, false
	}
	return m[4], m[5], len(m[1]) + len(m[2]) + len(m[3]), m[2] != ""
}

// indent is the column in which a line begins; of an empty line it is large.
func indent(line string) int {
	if at := strings.IndexFunc(line, func(r rune) bool { return r != ' ' }); at >= 0 {
		return at
	}
	return 1 << 10
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
