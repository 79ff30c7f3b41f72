// Command components is the multi-call binary with the unmodified upstream
// control plane: the base name of argv[0] picks the program, so one file of
// 125 MB stands for etcd, etcdutl, kube-apiserver, kube-controller-manager,
// kube-scheduler and kubectl. Each entry below does what the upstream main
// function of that program does, and nothing else.
//
// Started under any other name, the first argument picks the program:
//
//	components kube-apiserver --version
package main

import (
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata" // time zones for CronJobs, as the upstream mains import it

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/pkg/v3/cobrautl"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl's client auth plugins
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // the JSON log format
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the build_info metric
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	name := filepath.Base(os.Args[0])
	if run := program(name); run != nil {
		run()
		return
	}
	if len(os.Args) > 1 {
		if run := program(os.Args[1]); run != nil {
			os.Args = os.Args[1:]
			run()
			return
		}
	}
	fmt.Fprintf(os.Stderr, "cannot run %q: no such component; known are etcd, etcdutl, kube-apiserver, "+
		"kube-controller-manager, kube-scheduler and kubectl\n", name)
	os.Exit(2)
}

// program returns the main function of the named component, nil if there is
// none. Each one ends the process with the exit code upstream ends with.
func program(name string) func() {
	switch name {
	case "etcd":
		return func() { etcdmain.Main(os.Args) } // server/main.go
	case "etcdutl":
		return runEtcdutl
	case "kube-apiserver":
		return func() { os.Exit(cli.Run(apiserver.NewAPIServerCommand())) }
	case "kube-controller-manager":
		return func() { os.Exit(cli.Run(controllermanager.NewControllerManagerCommand())) }
	case "kube-scheduler":
		return func() { os.Exit(cli.Run(scheduler.NewSchedulerCommand())) }
	case "kubectl":
		return runKubectl
	}
	return nil
}

// runKubectl is cmd/kubectl/kubectl.go of k8s.io/kubernetes.
func runKubectl() {
	if _, err := logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)); err != nil {
		fmt.Fprintln(os.Stderr, err) // a bad -v: kubectl's own flag parser says it again, with its usage
	}
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

// runEtcdutl is ctl.go and main.go of go.etcd.io/etcd/etcdutl/v3, which is a
// main package and so cannot be imported.
func runEtcdutl() {
	root := &cobra.Command{Use: "etcdutl", Short: "An administrative command line tool for etcd3."}
	root.PersistentFlags().StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple",
		"set the output format (fields, json, protobuf, simple, table)")
	root.AddCommand(
		etcdutl.NewDefragCommand(),
		etcdutl.NewSnapshotCommand(),
		etcdutl.NewHashKVCommand(),
		etcdutl.NewVersionCommand(),
		etcdutl.NewCompletionCommand(),
		etcdutl.NewMigrateCommand(),
	)
	root.SetHelpTemplate("{{.UsageString}}")
	if err := root.Execute(); err != nil {
		cobrautl.ExitWithError(cobrautl.ExitError, err)
	}
}
