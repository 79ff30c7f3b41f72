package redact

import (
	"slices"
	"strings"
	"testing"
)

// Each place of a credential, and what looks like one and is none.
func TestText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"GET https://joe:geheim@example.com/x: no", "GET https://(redacted)@example.com/x: no"},
		{"https://joe:ge@heim@example.com", "https://(redacted)@example.com"},
		{"https://example.com/a@b", "https://example.com/a@b"},
		{"https://x/?access_token=geheim&page=2", "https://x/?access_token=(redacted)&page=2"},
		{"cannot use DB_PASSWORD=geheim here", "cannot use DB_PASSWORD=(redacted) here"},
		{"GOMAXPROCS=2 GODEBUG=http2client=0", "GOMAXPROCS=2 GODEBUG=http2client=0"},
		{"unknown flag: --auth-token=geheim", "unknown flag: --auth-token=(redacted)"},
		{"Authorization: Bearer geheim", "Authorization: Bearer (redacted)"},
		{"--tls-private-key-file=/a --service-account-max-token-expiration=1h --enable-bootstrap-token-auth=true",
			"--tls-private-key-file=/a --service-account-max-token-expiration=1h --enable-bootstrap-token-auth=true"},
		{"--concurrent-serviceaccount-token-syncs=5 --kubelet-client-key=/a.key --authorization-mode=Node,RBAC",
			"--concurrent-serviceaccount-token-syncs=5 --kubelet-client-key=/a.key --authorization-mode=Node,RBAC"},
		{"    - --oidc-secret=geheim und mehr", "    - --oidc-secret=(redacted)"},
		{"    - --token\n    - geheim\n    - --v=2", "    - --token\n    - (redacted)\n    - --v=2"},
		{"    - \"--token=geheim\"", "    - \"--token=(redacted)\""},
		{"- name: API_TOKEN\n  value: geheim\n- name: X\n  value: \"y\"", "- name: API_TOKEN\n  value: (redacted)\n- name: X\n  value: \"y\""},
		{"- name: X\n  value: \"y\"\n- value: 'geheim'\n  name: API_KEY", "- name: X\n  value: \"y\"\n- value: '(redacted)'\n  name: API_KEY"},
		{"- name: SECRET\n  value: |-\n    geheim\n    auch\n- name: X\n  value: y", "- name: SECRET\n  value: |-\n    (redacted)\n    (redacted)\n- name: X\n  value: y"},
		{"- name: HTTPS_PROXY\n  value: joe:ge/heim@proxy:3128", "- name: HTTPS_PROXY\n  value: (redacted)@proxy:3128"},
		{"- name: https_proxy\n  value: \"http://joe:ge/heim@proxy:3128\"", "- name: https_proxy\n  value: \"http://(redacted)@proxy:3128\""},
		{`{"env":[{"name":"API_TOKEN","value":"geheim"}]}`, `{"env":[{"name":"API_TOKEN","value":"(redacted)"}]}`},
		{"  \"name\": \"API_TOKEN\",\n  \"value\": \"geheim\"\n", "  \"name\": \"API_TOKEN\",\n  \"value\": \"(redacted)\"\n"},
		{"- name: token-auth-file\n  value: /etc/tokens", "- name: token-auth-file\n  value: /etc/tokens"},
		{"- name: token\n  value: geheim", "- name: token\n  value: (redacted)"},
		{"-----BEGIN RSA PRIVATE KEY-----\ngeheim\n-----END RSA PRIVATE KEY-----\nx", "-----BEGIN RSA PRIVATE KEY-----\n(redacted)\n-----END RSA PRIVATE KEY-----\nx"},
		{"    - name: ca-certs\n      hostPath:\n        path: /etc/ssl", "    - name: ca-certs\n      hostPath:\n        path: /etc/ssl"},
	} {
		got := Text(tc.text)
		if got != tc.want {
			t.Errorf("%q:\n got %q\nwant %q", tc.text, got, tc.want)
		}
		if again := Text(got); again != got {
			t.Errorf("%q: a second time it is %q", got, again)
		}
	}
}

// A difference of credentials still shows that they differ, and no more.
func TestPair(t *testing.T) {
	t.Parallel()
	const manifest = "env:\n- name: A_TOKEN\n  value: geheim\n- name: B_TOKEN\n  value: geheim2\n"
	before, after := Pair(manifest, strings.ReplaceAll(manifest, "geheim2", "geheim3"))
	if before == after || strings.Contains(before+after, "geheim") {
		t.Errorf("got %q and %q", before, after)
	}
	if same, too := Pair(manifest, manifest); same != too {
		t.Errorf("got %q and %q", same, too)
	}
}

// What a manifest says is a credential is hidden where a program prints it, and where another layer prints it again.
func TestKnown(t *testing.T) {
	t.Parallel()
	values := Values("- name: A_TOKEN\n  value: geheim\n- name: PASS\n  value: \"abc\"\n- --password=geheim2\n")
	if want := []string{"geheim", "abc", "geheim2"}; !slices.Equal(values, want) {
		t.Fatalf("got %q", values)
	}
	if got := Known("login with geheim2 or geheim, abc: denied", values); got != "login with (redacted) or (redacted), abc: denied" {
		t.Errorf("got %q", got)
	}
}
