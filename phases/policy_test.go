package phases

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/steps"
)

func testPolicy() cluster.Policy {
	return cluster.Policy{
		Objects: []json.RawMessage{[]byte(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"a"}}`)},
		ServiceAccounts: []cluster.Account{
			{Name: "job", Controllers: []cluster.Controller{{Names: []string{"job-controller", "job"}}}},
			{Name: "signer", Controllers: []cluster.Controller{{Names: []string{"bootstrap-signer-controller", "bootstrapsigner"}, Off: true}}},
			{Name: "warner", Controllers: []cluster.Controller{{Names: []string{"warning-controller"}, Off: true}}},
			{Name: "claim", Controllers: []cluster.Controller{{Names: []string{"claim-controller"}, Gated: true}}},
			{Name: "node", Controllers: []cluster.Controller{{Names: []string{"taint"}, Gated: true}, {Names: []string{"lifecycle"}}}},
		},
	}
}

// Nothing is created that the components would not create with the flags of their manifests.
func TestBootstrapPolicyFollowsTheFlags(t *testing.T) {
	t.Parallel()
	all := []string{"job", "signer", "claim", "node"}
	for name, tc := range map[string]struct {
		apiServer, controllers []config.Arg
		payload                cluster.Policy
		accounts               []string
		without                bool
	}{
		"as it is":             {payload: testPolicy(), accounts: all},
		"unknown components":   {without: true},
		"without RBAC":         {apiServer: []config.Arg{{Name: "authorization-mode", Value: "Node"}}, payload: testPolicy(), without: true},
		"RBAC among others":    {apiServer: []config.Arg{{Name: "authorization-mode", Value: "RBAC,ABAC"}}, payload: testPolicy(), accounts: all},
		"feature gates":        {apiServer: []config.Arg{{Name: "feature-gates", Value: "AllAlpha=true"}}, payload: testPolicy(), without: true},
		"without accounts":     {controllers: []config.Arg{{Name: "use-service-account-credentials", Value: "false"}}, payload: testPolicy()},
		"gates of controllers": {controllers: []config.Arg{{Name: "feature-gates", Value: "X=false"}}, payload: testPolicy(), accounts: []string{"job", "signer", "node"}},
		"some controllers":     {controllers: []config.Arg{{Name: "controllers", Value: "*,-job"}}, payload: testPolicy(), accounts: []string{"claim", "node"}},
		"one that is named":    {controllers: []config.Arg{{Name: "controllers", Value: "warning-controller,job"}}, payload: testPolicy(), accounts: []string{"job", "warner"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := bareMachine()
			cfg := bareConfig(f, func(c *config.Config) {
				c.APIServer.ExtraArgs, c.ControllerManager.ExtraArgs = tc.apiServer, tc.controllers
			})
			p, err := InitPhase("bootstrap-policy", cfg, f, Payload{Version: "v1.36.3", Policy: tc.payload})
			if err != nil {
				t.Fatal(err)
			}
			step := p.Phases[0].Steps[0].(steps.CreatePolicy)
			if (step.Without != "") != tc.without || (len(step.Objects) == 0) != tc.without || !slices.Equal(step.Accounts, tc.accounts) {
				t.Errorf("without %q, %d objects, accounts %q", step.Without, len(step.Objects), step.Accounts)
			}
		})
	}
}
