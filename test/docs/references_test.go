package docs

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/cmd/cli"
)

// text is a paragraph of a page, a comment, or a string of the source.
type text struct {
	file, text string
	literal    bool // a string, which says what to type
}

// Every reference that a page or a comment makes to the source exists: a path, a test, a make target, a verb with its flags.
func TestReferences(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][\w-]*):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	r := references{tests: testFunctions(t), targets: targets, root: cli.NewRoot(cli.Stdio{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})}
	r.root.InitDefaultHelpCmd()
	r.flags = flagsOf(r.root)
	r.paths, r.names = tree(t)
	all := texts(t)
	if len(all) < 300 {
		t.Fatalf("only %d texts: the rest was not found", len(all))
	}
	for _, x := range all {
		for _, problem := range r.missing(x) {
			t.Errorf("%s: %s", x.file, problem)
		}
	}
}

// references is what there is to refer to.
type references struct {
	paths, names   map[string]bool // of files and directories
	tests, targets map[string]bool
	flags          map[string]bool // of all verbs
	root           *cobra.Command
}

var (
	pathWord = regexp.MustCompile(`(?:\.\./)*[\w.-]+(?:/[\w.*-]+)+|\b[a-z][\w-]*\.(?:go|md|txtar)\b`)
	mdLink   = regexp.MustCompile(`\]\([^)\s]+\)`) // TestLinks looks at them
	ownFile  = regexp.MustCompile(`\.(?:go|md|txtar|golden|mod)$`)
	member   = regexp.MustCompile(`\.[A-Z]\w*(?:\.\w+)?$`) // of a package: runtime/supervisor.Client
	testWord = regexp.MustCompile(`\bTest[A-Z]\w+`)
	makeWord = regexp.MustCompile("`make ([a-z][\\w-]*)")
	flagWord = regexp.MustCompile(`(?:^|[^\w-])--([a-z][a-z-]*)`)
	command  = regexp.MustCompile("(.?)\\{?\\bkubecrank\\}? ([^\n`|;&<>()\"']*)")
)

// elsewhere are the beginnings of paths that a clean clone lacks: what make build makes, placeholders, and what comes with
// containers and units.
var elsewhere = []string{"runtime/payload/payload.bin", "phases/NAME", "runtime/NAME", "runtime/cri", "runtime/systemd"}

// A text that gives the whole path of a file of Kubernetes or etcd may go on with the names of files and tests there.
var upstream = regexp.MustCompile(`\b(?:pkg|plugin|staging|test/e2e_node|cmd/kube(?:adm|let|-[a-z-]+))/|\betcd's |k8s\.io/`)

// othersFlags are flags of other programs in errors and hints.
var othersFlags = map[string]string{
	"anonymous-auth": "kube-apiserver's", "client": "kubectl's", "cluster-signing-": "kube-controller-manager's", "flatten": "kubectl's",
	"help": "everybody's", "raw": "kubectl's", "kubeconfig": "kubectl's", "all-namespaces": "kubectl's",
	"now": "systemctl's", "print-join-command": "kubeadm's", "version": "kube-apiserver's",
}

// ownErrors are the packages whose strings name no flags but ours and those of othersFlags.
var ownErrors = regexp.MustCompile(`^(?:cmd/cli|manifests/config|runtime/supervisor|runtime/source|phases|phases/(?:pki|facts|plan|cluster|ports))/[^/]*$`)

// missing are the references of a text that lead nowhere.
func (r references) missing(x text) (problems []string) {
	if !x.literal && !upstream.MatchString(x.text) {
		for _, path := range pathWord.FindAllString(mdLink.ReplaceAllString(x.text, "]"), -1) {
			if path = member.ReplaceAllString(strings.TrimRight(path, ".-"), ""); !r.exists(x.file, path) {
				problems = append(problems, "there is no "+path)
			}
		}
		for _, name := range testWord.FindAllString(x.text, -1) {
			if !r.tests[name] && !hasPrefix(r.tests, name) {
				problems = append(problems, "there is no test "+name)
			}
		}
	}
	for _, m := range makeWord.FindAllStringSubmatch(x.text, -1) {
		if !r.targets[m[1]] {
			problems = append(problems, "there is no make "+m[1])
		}
	}
	if strings.HasSuffix(x.file, "_test.go") {
		return problems // the command lines of a test may be wrong on purpose
	}
	for _, m := range command.FindAllStringSubmatch(x.text, -1) {
		if problem := r.command(m[2], m[1] == "`" || m[1] == "'" || m[1] == "\""); problem != "" {
			problems = append(problems, problem)
		}
	}
	for _, m := range flagWord.FindAllStringSubmatch(x.text, -1) {
		if x.literal && ownErrors.MatchString(x.file) && !r.flags[m[1]] && othersFlags[m[1]] == "" {
			problems = append(problems, "no verb has the flag --"+m[1])
		}
	}
	return problems
}

// exists says whether a path leads to something. What neither ends like a file of ours nor begins with a directory of
// ours is no path into this repository.
func (r references) exists(from, path string) bool {
	for _, begin := range elsewhere {
		if strings.HasPrefix(path, begin) {
			return true
		}
	}
	first, _, deep := strings.Cut(path, "/")
	if !ownFile.MatchString(path) && (!deep || !r.paths[first] || strings.Contains(first, ".")) {
		return true
	}
	if !deep {
		return r.names[path]
	}
	for _, at := range []string{path, filepath.Join(filepath.Dir(from), path)} {
		found, err := filepath.Glob(filepath.Join(repository, at))
		if err == nil && len(found) > 0 {
			return true
		}
	}
	return hasSuffix(r.paths, "/"+path)
}

// command says what is wrong with a command line. Without quotes it may be a sentence about kubecrank.
func (r references) command(line string, quoted bool) string {
	cmd, words := r.root, strings.Fields(line)
	for i := 0; i < len(words); i++ {
		word := strings.TrimRight(words[i], ".,:")
		if word == "--" || cmd.DisableFlagParsing {
			return ""
		}
		if strings.HasPrefix(word, "-") {
			name, _, has := strings.Cut(strings.TrimLeft(word, "-"), "=")
			flag := cmd.Flag(name)
			if flag == nil && len(name) == 1 {
				flag = cmd.Flags().ShorthandLookup(name)
			}
			switch {
			case name == "help" || name == "h" || name == "":
			case flag == nil:
				return cmd.CommandPath() + " has no flag " + word
			case !has && flag.NoOptDefVal == "":
				i++
			}
			continue
		}
		sub, _, err := cmd.Find([]string{word})
		switch {
		case err == nil && sub != cmd:
			cmd = sub
		case cmd == r.root && quoted && regexp.MustCompile(`^[a-z]+$`).MatchString(word):
			return "there is no verb " + word
		case cmd == r.root:
			return "" // a sentence
		}
	}
	return ""
}

func hasPrefix(set map[string]bool, prefix string) bool {
	for name := range set {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func hasSuffix(set map[string]bool, suffix string) bool {
	for name := range set {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// tree lists the paths below the repository, and the names of its files.
func tree(t *testing.T) (paths, names map[string]bool) {
	t.Helper()
	paths, names = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".run", ".tools", "bin", "dist"}, d.Name()) {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(repository, path)
		paths[filepath.ToSlash(rel)], names[d.Name()] = true, true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths, names
}

// texts are the paragraphs of the pages, and the comments and the strings with a command line of the source. The page of
// statements names upstream's tests; TestStatements looks at ours.
func texts(t *testing.T) (all []text) {
	t.Helper()
	for _, name := range markdown(t) {
		for _, part := range strings.Split(read(t, name), "\n\n") {
			if name != statementsPage {
				all = append(all, text{name, part, false})
			}
		}
	}
	paths, _ := tree(t)
	for path := range paths {
		if filepath.Ext(path) != ".go" || strings.Contains(path, "testdata") || path == "cmd/components/main.go" { // it is about etcd's source
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(repository, path), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			all = append(all, text{path, group.Text(), false})
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				value, _ := strconv.Unquote(lit.Value) // it was parsed
				all = append(all, text{path, strings.ReplaceAll(value, "%", " %"), true})
			}
			return true
		})
	}
	return all
}

// flagsOf names the flags of a command and of those below it.
func flagsOf(cmd *cobra.Command) map[string]bool {
	names := map[string]bool{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { names[f.Name] = true })
	for _, sub := range cmd.Commands() {
		maps.Copy(names, flagsOf(sub))
	}
	return names
}
