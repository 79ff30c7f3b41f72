package redact

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// harmless values of a flag with a word such as "token" or "key" in its name: a path, a switch, a number, a duration, a version.
var harmless = regexp.MustCompile(`^(/.*|true|false|v?\d+(\.\d+)*(ns|us|ms|s|m|h)*)$`)

// Secret says whether the name of a value makes it a credential: the name of an environment variable or a header (with an
// upper-case letter or a "_"), or of a flag. Of a flag, only a password is one whatever it looks like.
func Secret(name, value string) bool {
	words := wordsOf(name)
	if value == "" || len(words) == 0 || words[0] == "enable" || isPlace(words[len(words)-1]) {
		return false
	}
	strong := slices.ContainsFunc(words, func(w string) bool {
		return slices.ContainsFunc([]string{"passw", "passphrase", "secret", "credential"}, func(s string) bool {
			return strings.Contains(w, s)
		})
	})
	weak := slices.ContainsFunc(words, func(w string) bool {
		return strings.Contains(w, "token") || strings.HasSuffix(w, "key") ||
			slices.Contains([]string{"keys", "pwd", "pass", "creds", "jwt"}, w)
	})
	if strings.IndexFunc(name, unicode.IsUpper) < 0 && !strings.Contains(name, "_") {
		return (strong || weak) && (!harmless.MatchString(value) || isPassword(words) && value[0] != '/')
	}
	return strong || weak || slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains([]string{"auth", "authorization", "cookie", "dsn"}, w)
	})
}

func isPassword(words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "passw") || strings.Contains(w, "passphrase") })
}

// isPlace says whether the last word of a name tells that the value is where a credential is, or how long it lasts.
func isPlace(word string) bool {
	for _, end := range []string{"file", "files", "path", "dir", "directory", "ttl", "expiration", "name", "type", "algorithm", "mode"} {
		if strings.HasSuffix(word, end) {
			return true
		}
	}
	return false
}

func isProxy(name string) bool { return strings.HasSuffix(strings.ToLower(name), "_proxy") }

// wordsOf parts a name at its dashes, underscores and dots, and before an upper-case letter that follows a lower-case one.
func wordsOf(name string) []string {
	var words []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
		}
		word = nil
	}
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end()
			continue
		case unicode.IsUpper(r) && len(word) > 0 && unicode.IsLower(word[len(word)-1]):
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}
