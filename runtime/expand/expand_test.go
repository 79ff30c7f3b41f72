package expand

import (
	"slices"
	"testing"
)

// The cases are those of upstream's expand_test.go (doMappingTest and TestMapReference), in short form.
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
		if got := Expand(in, vars); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := All([]string{"$(A)", "b"}, vars); !slices.Equal(got, []string{"1", "b"}) {
		t.Errorf("All: %q", got)
	}
}
