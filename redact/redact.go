// Package redact hides credentials in texts that people read or that are kept: plans, differences, errors, events,
// the journal, log lines.
//
// It knows a credential by where it stands, in YAML, JSON, or a sentence (two texts that are compared go through Pair first):
//
//	scheme://user:password@host        the part before the @; a proxy variable needs no scheme
//	?token=..., NAME_TOKEN=...         a parameter or an assignment with a secret name
//	--token=..., - --token             a flag with a secret name, unless its value is a path, a number or a switch
//	name: DB_PASSWORD, value: ...      an environment variable, a header or an extra argument with a secret name
//	Authorization: Bearer ...          a header
//	-----BEGIN PRIVATE KEY-----        a key
//
// A name is secret if one of its words is: see secretWords. What a manifest says is a credential is then also known
// by its value (Values), so that it can be hidden where a program prints it (Known).
package redact

import (
	"slices"
	"strings"
)

// Mark stands where a credential was.
const Mark = "(redacted)"

// markOther stands for a credential that differs from the one in the text that it is compared with.
const markOther = "(redacted, another one)"

// Text hides the credentials in a text.
func Text(text string) string {
	return scan(text, func(string) string { return Mark })
}

// Values returns the credentials in a text, each once.
func Values(text string) []string {
	var values []string
	scan(text, func(v string) string {
		if !slices.Contains(values, v) {
			values = append(values, v)
		}
		return Mark
	})
	return values
}

// Pair hides the credentials in two texts that are going to be compared: those that differ still do.
func Pair(before, after string) (string, string) {
	old := Values(before)
	return Text(before), scan(after, func(v string) string {
		if slices.Contains(old, v) {
			return Mark
		}
		return markOther
	})
}

// Known hides values that are known to be credentials, and all that Text hides. A value so short that it could be
// any word is left.
func Known(text string, values []string) string {
	const shortest = 4
	byLength := slices.SortedFunc(slices.Values(values), func(a, b string) int { return len(b) - len(a) })
	for _, v := range byLength {
		if len(v) >= shortest && v != Mark {
			text = strings.ReplaceAll(text, v, Mark)
		}
	}
	return Text(text)
}
