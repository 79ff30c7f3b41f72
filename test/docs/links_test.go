package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// repository is the directory that the pages are in.
const repository = "../.."

// link is a Markdown link: the text in brackets, then the address.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Every link within the repository leads to a file that is there, and to a heading that is in it.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, name := range markdown(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(read(t, name)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, heading, _ := strings.Cut(m[1], "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			info, err := os.Stat(filepath.Join(repository, target))
			switch {
			case err != nil:
				t.Errorf("%s: %s leads nowhere: %v", name, m[1], err)
			case heading != "" && (info.IsDir() || !hasHeading(read(t, target), heading)):
				t.Errorf("%s: %s leads to no heading", name, m[1])
			}
		}
	}
}

// Every page is in the index, so that it can be found.
func TestIndex(t *testing.T) {
	t.Parallel()
	index := read(t, "docs/README.md")
	for _, name := range markdown(t) {
		short, ok := strings.CutPrefix(name, "docs/")
		generated := strings.HasPrefix(short, "reference/cli/")
		if ok && !generated && short != "README.md" && !strings.Contains(index, "("+short+")") {
			t.Errorf("%s is not in docs/README.md", name)
		}
	}
}

// markdown lists the pages, relative to the repository.
func markdown(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md"}
	err := filepath.WalkDir(filepath.Join(repository, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		name, err := filepath.Rel(repository, path)
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// withoutCode leaves out code blocks: what looks like a link there is none.
func withoutCode(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, "\n"+fence) {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// hasHeading says whether a page has the heading to which an anchor leads: lower
// case, hyphens for spaces, letters, digits and hyphens only.
func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(withoutCode(text)) {
		title := strings.TrimLeft(line, "#")
		if title == line {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, strings.TrimSpace(title))
		if slug == anchor {
			return true
		}
	}
	return false
}
