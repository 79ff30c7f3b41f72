package expand

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// The cases are those of k8s.io/kubernetes/third_party/forked/golang/expansion/expand_test.go
// (doMappingTest and TestMapReference), in short form.
func TestExpand(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"A": "1", "B": "2", "EMPTY": "", "REF": "$(A)"}
	for in, want := range map[string]string{
		"":                   "",
		"plain":              "plain",
		"$(A)":               "1",
		"$(A)-$(B)$(A)":      "1-21",
		"x$(EMPTY)y":         "xy",
		"$(REF)":             "$(A)", // values are not expanded again
		"$(NONE)":            "$(NONE)",
		"$$(A)":              "$(A)",
		"$$$(A)":             "$1",
		"$$$$(A)":            "$$(A)",
		"$A":                 "$A",
		"$":                  "$",
		"a$":                 "a$",
		"$$":                 "$",
		"$(A":                "$(A",
		"$(A$(B)":            "$(A$(B)", // the name is "A$(B"
		"$()":                "$()",
		"$( A)":              "$( A)",
		"$(A))":              "1)",
		"$$)(A)":             "$)(A)",
		"é$(A)é$é":           "é1é$é",
		"--etcd=$(A)$$(B)$)": "--etcd=1$(B)$)",
	} {
		if got, err := Expand(in, vars); got != want || err != nil {
			t.Errorf("%q: got %q, want %q, %v", in, got, want, err)
		}
	}
	if got, err := All("args", []string{"$(A)", "b"}, vars); !slices.Equal(got, []string{"1", "b"}) || err != nil {
		t.Errorf("All: %q, %v", got, err)
	}
}

// What doubles with every variable ends where execve would refuse it, and not where memory does.
func TestLimits(t *testing.T) {
	vars := map[string]string{"A": strings.Repeat("x", 64<<10-1)}
	if got, err := Expand("$(A)$(A)", vars); err != nil || len(got) != MaxString-2 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := Expand("$(A)$(A)y", vars); err != nil || len(got) != MaxString-1 { // and its NUL
		t.Errorf("%d bytes, %v", len(got), err)
	}
	var long *TooLongError
	if _, err := Expand("$(A)$(A)yz", vars); !errors.As(err, &long) {
		t.Errorf("no TooLongError: %v", err)
	}
	if _, err := Expand(strings.Repeat("$(A)", 1<<20), vars); !errors.As(err, &long) { // 64 GB
		t.Errorf("no TooLongError: %v", err)
	}
	_, err := All("args", []string{"short", "$(A)$(A)$(A)"}, vars)
	if err == nil || !strings.HasPrefix(err.Error(), "args[1]: ") {
		t.Errorf("the error does not name the field: %v", err)
	}
	many := slices.Repeat([]string{"$(A)$(A)"}, 100) // 12 MB
	if _, err := All("args", many, vars); !errors.As(err, &long) || long.Field != "args[47]" || long.Limit != MaxTotal {
		t.Errorf("all together: %v", err)
	}
}
