package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// outputFlag is -o: one of the formats that a command knows.
type outputFlag struct {
	value   string
	formats []string
}

// addOutput gives a command its -o flag; the first format is the default.
func addOutput(cmd *cobra.Command, flags *pflag.FlagSet, formats ...string) *outputFlag {
	o := &outputFlag{value: formats[0], formats: formats}
	flags.VarP(o, "output", "o", "Output format: "+strings.Join(formats, ", ")+".")
	mustComplete(cmd, "output", completeWords(formats...))
	return o
}

func (o *outputFlag) String() string { return o.value }
func (o *outputFlag) Type() string   { return "format" }

// Set implements pflag.Value.
func (o *outputFlag) Set(value string) error {
	if !slices.Contains(o.formats, value) {
		return fmt.Errorf("must be one of %s", strings.Join(o.formats, ", "))
	}
	o.value = value
	return nil
}

// writeJSON prints a value as indented JSON.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// writeYAML prints a value as YAML, with its JSON field names.
func writeYAML(w io.Writer, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// inSeconds is a duration as a JSON number that ends with its milliseconds: 1.402, and not 1.4020000000000001.
func inSeconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}
