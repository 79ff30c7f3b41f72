package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	enc := newJSON(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// newJSON makes an encoder whose output may go to a terminal: encoding/json leaves some control characters as they are.
func newJSON(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(escapesControls{w})
	enc.SetEscapeHTML(false)
	return enc
}

// escapesControls writes DEL and U+0080 to U+009F as JSON's \u escapes. They can only be in strings. The encoder writes a
// value at once.
type escapesControls struct{ io.Writer }

func (e escapesControls) Write(p []byte) (int, error) {
	isControl := func(r rune) bool { return r >= 0x7f && r <= 0x9f }
	if bytes.IndexFunc(p, isControl) < 0 {
		return e.Writer.Write(p)
	}
	var out []byte
	for _, r := range string(p) {
		if isControl(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	_, err := e.Writer.Write(out)
	return len(p), err
}

// writeYAML prints a value as YAML, with its JSON field names.
func writeYAML(w io.Writer, v any) error {
	var doc bytes.Buffer // yaml.Marshal cannot read some control characters that encoding/json leaves as they are
	if err := newJSON(&doc).Encode(v); err != nil {
		return err
	}
	data, err := yaml.JSONToYAML(doc.Bytes())
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
