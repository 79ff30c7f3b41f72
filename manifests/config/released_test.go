package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The version and the date of the components are those that the Makefile builds: a clock is held against the date.
func TestReleasedIsTheMakefiles(t *testing.T) {
	data, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"KUBE_VERSION := " + DefaultKubernetesVersion, "KUBE_DATE    := " + Released().Format(time.RFC3339)} {
		if !strings.Contains(string(data), "\n"+line+"\n") {
			t.Errorf("the Makefile has no line %q", line)
		}
	}
}
