package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// URL is a static pod source that is fetched: one Pod, or a PodList of which one bad item refuses
// all. What fails to come leaves the pods as they are, and so does an empty body, for which the
// kubelet deletes them all (statement 39).
type URL struct {
	Address  string        // http or https
	Header   http.Header   // sent with every request; may hold secrets and is never shown
	NodeName string        // the suffix of pod names
	Period   time.Duration // between requests; 0 means DefaultPeriod
	Client   *http.Client  // nil for one with the kubelet's timeout of 10 s

	body []byte // the last one that was good
	good Update // what it held
}

const requestTimeout = 10 * time.Second

// String is the URL without what may be secret in it: user, password and query.
func (s *URL) String() string {
	u, err := url.Parse(s.Address)
	if err != nil {
		return "invalid URL"
	}
	return withoutSecrets(u)
}

// Run implements Source.
func (s *URL) Run(ctx context.Context, updates chan<- Update) error {
	period := s.Period
	if period == 0 {
		period = DefaultPeriod
	}
	s.body, s.good = nil, Update{Incomplete: true}
	var sent *Update
	for {
		u := s.fetch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !sameUpdate(sent, &u) {
			if err := send(ctx, updates, u); err != nil {
				return nil //nolint:nilerr // the end of ctx is how a source is told to stop
			}
			sent = &u
		}
		timer := time.NewTimer(period)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// fetch gets the full set, or the last good one and the problem.
func (s *URL) fetch(ctx context.Context) Update {
	body, err := s.get(ctx)
	if err == nil && !bytes.Equal(body, s.body) {
		var pods []*runtime.Pod
		var problems []runtime.Problem
		if pods, problems, err = s.decode(body); err == nil {
			s.body, s.good = body, Update{Pods: pods, Problems: problems}
		}
	}
	u := s.good
	if err != nil {
		problem := runtime.Problem{Source: s.String(), Message: err.Error()}
		var decode *DecodeError
		if errors.As(err, &decode) {
			problem.Line = decode.Line
		}
		u.Problems = append([]runtime.Problem{problem}, s.good.Problems...)
	}
	return u
}

func (s *URL) get(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Address, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch static pods: %w", redact(err))
	}
	for name, values := range s.Header {
		req.Header[name] = values
	}
	if host := s.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := s.client().Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch static pods: %w", redact(err))
	}
	defer resp.Body.Close()
	body, err := readAtMost(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot fetch static pods: %w", redact(err))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("cannot fetch static pods: %s: %s", s, resp.Status)
	case len(body) == 0:
		return nil, fmt.Errorf("cannot fetch static pods: zero-length data received from %s", s)
	}
	return body, nil
}

// decode reads a Pod, or else a PodList. Of pods with the same name in a list the first is used (statement 25).
func (s *URL) decode(body []byte) ([]*runtime.Pod, []runtime.Problem, error) {
	d := Decoder{NodeName: s.NodeName, Source: FromHTTP}
	seen := time.Now().Format(time.RFC3339Nano)
	if !isList(body) {
		pod, err := d.Pod(body, s.String())
		if err != nil {
			return nil, nil, err
		}
		s.keepSeen([]*runtime.Pod{pod}, seen)
		if warning := ignoredFields(pod); warning != nil {
			return []*runtime.Pod{pod}, []runtime.Problem{*warning}, nil
		}
		return []*runtime.Pod{pod}, nil, nil
	}
	list, err := d.PodList(body, s.String())
	if err != nil {
		return nil, nil, err
	}
	var pods []*runtime.Pod
	var problems []runtime.Problem
	names := map[string]bool{}
	for _, pod := range list {
		if key := pod.FullName(); names[key] {
			problems = append(problems, runtime.Problem{Source: s.String(), Warning: true,
				Message: fmt.Sprintf("ignored: pod %s is in the list twice, and the first one is used", key)})
			continue
		}
		names[pod.FullName()] = true
		pods = append(pods, pod)
		if warning := ignoredFields(pod); warning != nil {
			problems = append(problems, *warning)
		}
	}
	s.keepSeen(pods, seen)
	return pods, problems, nil
}

// isList says whether the body is meant to be a PodList.
func isList(body []byte) bool {
	doc, err := toJSON(body)
	return err == nil && checkKind(doc, "PodList") == nil
}

// keepSeen stamps new pods, and keeps the stamp of those that are unchanged (statement 23).
func (s *URL) keepSeen(pods []*runtime.Pod, now string) {
	for _, pod := range pods {
		pod.Annotations[ConfigSeenAnnotation] = now
		for _, old := range s.good.Pods {
			if old.Hash == pod.Hash {
				pod.Annotations[ConfigSeenAnnotation] = old.Annotations[ConfigSeenAnnotation]
			}
		}
	}
}
