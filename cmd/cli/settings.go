package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/trust"
)

// envPrefix starts the name of the environment variable of each flag:
// --pod-network-cidr is KUBECRANK_POD_NETWORK_CIDR.
const envPrefix = "KUBECRANK_"

// defaultSettings is read when --settings does not say otherwise; below --root when that is given.
const defaultSettings = "/etc/kubecrank/config.yaml"

// loadSettings fills the flags of cmd that were not given on the command line:
// from the environment, then from the settings file. Afterwards the flags are
// the one place to look at, whoever set them.
func (a *app) loadSettings(cmd *cobra.Command) error {
	if _, err := a.earlyValue(cmd, trustOwner); err != nil {
		return err
	}
	v := viper.New()
	file, err := a.readSettings(cmd, v)
	if err != nil {
		return err
	}
	if err := checkKeys(cmd.Root(), v, file); err != nil {
		return err
	}
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || !hasSetting(f) {
			return
		}
		if err := a.setFlag(cmd.Flags(), f, v, file); err != nil {
			errs = append(errs, err)
		}
	})
	if len(errs) > 0 {
		return &usageError{err: errors.Join(errs...)}
	}
	return nil
}

// setFlag gives one flag its value from the environment or the settings.
func (a *app) setFlag(flags *pflag.FlagSet, f *pflag.Flag, v *viper.Viper, file string) error {
	if value := a.stdio.getenv(envName(f)); value != "" {
		if err := flags.Set(f.Name, value); err != nil {
			return fmt.Errorf("cannot use %s: invalid value %q: %w", envName(f), value, flagProblem(err))
		}
		return nil
	}
	if !v.IsSet(f.Name) {
		return nil
	}
	value := v.GetString(f.Name)
	if list, ok := f.Value.(pflag.SliceValue); ok {
		if err := list.Replace(v.GetStringSlice(f.Name)); err != nil {
			return fmt.Errorf("cannot use %q in %s: %w", f.Name, file, err)
		}
		f.Changed = true
		return nil
	}
	if _, nested := v.Get(f.Name).([]any); nested {
		return fmt.Errorf("cannot use %q in %s: it takes one value, not a list", f.Name, file)
	}
	if err := flags.Set(f.Name, value); err != nil {
		return fmt.Errorf("cannot use %q in %s: invalid value %q: %w", f.Name, file, value, flagProblem(err))
	}
	return nil
}

// flagProblem says in words what is wrong with a flag's value. It leaves out pflag's "invalid argument ... for ... flag":
// the value may come from the environment or from the settings file.
func flagProblem(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		err = invalid.Unwrap()
	}
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return errors.New("the number is too large")
	case number.Func == "ParseBool":
		return errors.New("must be true or false")
	}
	return errors.New("not a whole number")
}

// earlyValue returns the value of a flag that no settings file can set: it is needed to find or to trust that file.
func (a *app) earlyValue(cmd *cobra.Command, name string) (string, error) {
	f := cmd.Flags().Lookup(name)
	if f == nil {
		return "", nil
	}
	if value := a.stdio.getenv(envName(f)); value != "" && !f.Changed {
		if err := cmd.Flags().Set(name, value); err != nil {
			return "", usage("cannot use %s: %w", envName(f), err)
		}
	}
	return f.Value.String(), nil
}

// readSettings reads the settings file, and returns its name, or "" if there is none. The user chooses the file of
// --settings. The default file is believed only if no other user can have written it.
func (a *app) readSettings(cmd *cobra.Command, v *viper.Viper) (string, error) {
	file, err := a.earlyValue(cmd, "settings")
	if err != nil {
		return "", err
	}
	if file != "" {
		v.SetConfigFile(file)
		if err := v.ReadInConfig(); err != nil {
			return "", usage("cannot read settings: %w", err)
		}
		return file, nil
	}
	root, err := a.earlyValue(cmd, "root")
	if err != nil {
		return "", err
	}
	file = defaultSettings
	if root != "" {
		if file, err = filepath.Abs(filepath.Join(root, defaultSettings)); err != nil {
			return "", err
		}
	}
	data, err := a.owners().ReadFile(file, maxSettings)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil // the verb reports any other problem of the root
	case errors.As(err, new(*trust.Error)) && isNodeless(cmd):
		return "", nil // the verb does not need it
	case errors.As(err, new(*trust.Error)):
		return "", err
	case err != nil:
		return "", usage("cannot read settings: %w", err)
	}
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(data)); err != nil {
		return "", usage("cannot read settings: %w", err)
	}
	return file, nil
}

// maxSettings is the largest settings file in bytes. All flags together need far less.
const maxSettings = 1 << 20

// checkKeys refuses keys that are no flag of any command: a typing error must not silently leave the default.
func checkKeys(root *cobra.Command, v *viper.Viper, file string) error {
	known := flagNames(root)
	var errs []error
	for key := range v.AllSettings() {
		if !known[key] {
			err := fmt.Errorf("unknown setting %q in %s", key, file)
			errs = append(errs, hint.With(err, didYouMean(key, keys(known), "")))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return &usageError{err: errors.Join(errs...)}
}

// flagNames are the names of all flags of cmd and the commands below it that can stand in a settings file.
func flagNames(cmd *cobra.Command) map[string]bool {
	names := map[string]bool{}
	add := func(f *pflag.Flag) {
		if hasSetting(f) && f.Name != "settings" && f.Name != trustOwner {
			names[f.Name] = true
		}
	}
	cmd.LocalFlags().VisitAll(add)
	for _, sub := range cmd.Commands() {
		for name := range flagNames(sub) {
			names[name] = true
		}
	}
	return names
}

// hasSetting says whether a flag can be set from outside the command line.
func hasSetting(f *pflag.Flag) bool { return f.Name != "help" && !f.Hidden }

// envName is the environment variable of a flag.
func envName(f *pflag.Flag) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}
