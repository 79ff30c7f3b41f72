package source

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A header is a secret of the server that it was given for, and what came encrypted must not come in the clear. The
// kubelet sends the header anywhere.
func TestRedirects(t *testing.T) {
	t.Parallel()
	var stolen, referers []string
	pod := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stolen, referers = append(stolen, r.Header.Get("X-Token")), append(referers, r.Referer())
		_, _ = w.Write([]byte(manifest("a", "one")))
	})
	other := httptest.NewServer(pod)
	defer other.Close()
	mux := http.NewServeMux()
	first, secure := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	defer first.Close()
	defer secure.Close()
	mux.Handle("/pods", pod)
	for path, to := range map[string]string{"/same": "/pods", "/loop": "/loop", "/other": other.URL + "/pods?token=hidden",
		"/plain": strings.Replace(first.URL, "http://", "http://user:hidden@", 1) + "/pods", "/up": secure.URL + "/pods"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	}
	token := http.Header{"X-Token": {"secret"}}
	for name, tt := range map[string]struct {
		address string
		header  http.Header
		want    string // in the error, "" for none
	}{
		"same server":              {first.URL + "/same", token, ""},
		"another port":             {first.URL + "/other?token=hidden", token, "/pods is not followed: the header"},
		"another without a header": {first.URL + "/other?token=hidden", nil, ""},
		"password in the URL":      {strings.Replace(first.URL, "//", "//user:hidden@", 1) + "/other", nil, "is not followed: the header"},
		"to no encryption":         {secure.URL + "/plain", nil, "/pods is not followed: it leads from an encrypted"},
		"to encryption":            {first.URL + "/up", token, ""},
		"in circles":               {first.URL + "/loop", token, "stopped after 10 redirects"},
	} {
		stolen, referers = nil, nil
		src := &URL{Address: tt.address, Header: tt.header, NodeName: "node1", Client: secure.Client()}
		u := src.fetch(t.Context())
		text := ""
		for _, p := range u.Problems {
			text += p.Message + p.Source
		}
		if tt.want == "" && (len(u.Pods) != 1 || text != "") || tt.want != "" && (!strings.Contains(text, tt.want) || len(stolen) != 0) {
			t.Errorf("%s: %d pods, %q, want %q; sent %q", name, len(u.Pods), text, tt.want, stolen)
		}
		if all := text + strings.Join(referers, ""); strings.Contains(all, "hidden") {
			t.Errorf("%s: a secret is told: %s", name, all)
		}
	}
}

// Neither a password in an address nor one of a proxy is in what status and events say.
func TestNoSecretsInProblems(t *testing.T) {
	t.Parallel()
	for address, proxy := range map[string]string{
		"http://user:hidden@127.0.0.1:1/pods?token=hidden": "",
		"http://user:hid\x01den@host/":                     "",
		"http://user:hidden:hidden/":                       "",
		"http://127.0.0.1:2/":                              "http://user:hidden@127.0.0.1:1",
	} {
		src := &URL{Address: address, NodeName: "node1"}
		if proxy != "" {
			u, err := url.Parse(proxy)
			if err != nil {
				t.Fatal(err)
			}
			src.Client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u)}}
		}
		for _, p := range src.fetch(t.Context()).Problems {
			if text := p.Source + p.Message; strings.Contains(text, "hid") || p.Message == "" {
				t.Errorf("%q: %s", address, text)
			}
		}
	}
}
