// Package journal remembers what kubecrank did to a machine: the records, the
// history that they add up to, and the lock that keeps two runs apart.
//
//	Acquire --> Open --> Begin, Commit ... --> Close --> Release
//	Load --> History: what is ours, and what the node was set up with
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/redact"
)

// Journal is the append-only record of what was done to this machine: JSON
// lines, mode 0600, synced at each Commit. It never holds a secret; of a key
// it holds the SHA-256 sum.
//
// The file is born with the first Commit, together with its directory and in
// one rename (durable.NewDir), so there is no moment at which the directory is
// there and nobody knows who made it. A run that changes nothing writes nothing.
type Journal struct {
	path  string
	state string // the directory that holds it
	root  string // records of paths outside it are refused

	mu      sync.Mutex
	file    *os.File // nil until the first Commit
	whole   int64    // how many bytes of the file were whole records when it was opened
	pending []Record // of Begin: written with the first Commit
	retired bool
	history History
}

// maxJournal is far more than thousands of runs write.
const maxJournal = 64 << 20

// Load reads the journal of a configuration without changing it. No journal
// is an empty History. A journal that cannot be trusted is a *JournalError.
func Load(root string, paths config.Paths) (History, error) {
	history, _, err := load(root, paths.Journal)
	return history, err
}

// load returns the history and how many bytes of the file are whole records.
func load(root, path string) (History, int64, error) {
	history := History{}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return history, 0, nil
	}
	if err != nil {
		return history, 0, &Error{Path: path, Err: errors.New(resource.Cause(err))}
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return history, 0, &Error{Path: path, Err: err}
	case !info.Mode().IsRegular():
		return history, 0, &Error{Path: path, Err: errors.New("it is not a regular file")}
	case info.Size() > maxJournal:
		return history, 0, &Error{Path: path, Err: fmt.Errorf("it is larger than %d MiB", maxJournal>>20)}
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if err != nil && n < len(data) {
		return history, 0, &Error{Path: path, Err: err}
	}
	history, whole, err := parse(root, path, data)
	if err == nil && whole == 0 { // it is born with records in it
		err = &Error{Path: path, Err: errors.New("it is empty, and kubecrank never leaves an empty one: its content was lost")}
	}
	return history, whole, err
}

// parse folds the lines of a journal. A last line without a line end was torn
// by a power loss or a kill: it is left out, and so is a tail of NUL bytes,
// which some file systems leave. Garbage anywhere else is an error.
func parse(root, path string, data []byte) (History, int64, error) {
	history := History{}
	var whole int64
	for n := 1; len(data) > 0; n++ {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		if !ended || len(bytes.Trim(data, "\x00")) == 0 {
			return history, whole, nil
		}
		rec, err := parseRecord(root, line)
		if err != nil {
			return history, whole, &Error{Path: path, Line: n, Err: err}
		}
		history.Add(rec)
		whole += int64(len(line)) + 1
		data = rest
	}
	return history, whole, nil
}

func parseRecord(root string, line []byte) (Record, error) {
	rec, err := decode(line)
	if err != nil {
		return rec, fmt.Errorf("it is no record: %w", err)
	}
	if rec.What == "" || rec.Verb == "" {
		return rec, errors.New("it is no record: what or verb is missing")
	}
	if rec.Claim != nil {
		return rec, rec.Claim.Check(root)
	}
	return rec, nil
}

// Error is a journal that cannot be read or trusted.
type Error struct {
	Path string
	Line int // 0: the file as a whole
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("cannot read the journal %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("cannot read the journal %s: line %d: %v", e.Path, e.Line, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *Error) Hint() string {
	switch {
	case errors.Is(e.Err, fs.ErrPermission) || strings.Contains(e.Err.Error(), syscall.EACCES.Error()):
		return "run it as the user who ran init"
	case e.Line == 0:
		return "look at the file; without it, kubecrank does not know what it made on this machine"
	}
	return fmt.Sprintf("correct or delete line %d of the file; what that line records will not be undone by reset", e.Line)
}

// Open opens the journal of a configuration for writing. The caller
// holds the Lock. A torn last line is cut off with the first Commit.
func Open(root string, paths config.Paths) (*Journal, error) {
	history, whole, err := load(root, paths.Journal)
	if err != nil {
		return nil, err
	}
	return &Journal{path: paths.Journal, state: paths.State, root: root, whole: whole, history: history}, nil
}

// Begin keeps records that are to stand before the next Commit's. They reach the disk with it.
func (j *Journal) Begin(records ...Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = append(j.pending, records...)
}

// Commit appends records in one write and syncs. When it returns, they outlive a power loss.
func (j *Journal) Commit(records ...Record) error {
	if len(records) == 0 {
		return nil
	}
	for _, r := range records {
		if r.Claim == nil {
			continue
		}
		if err := r.Claim.Check(j.root); err != nil {
			return fmt.Errorf("cannot write the journal %s: %w", j.path, err)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.retired {
		return fmt.Errorf("cannot write the journal %s: it was removed", j.path)
	}
	records = append(slices.Clone(j.pending), records...)
	if err := j.write(records); err != nil { // what is pending stays so, for a phase that runs beside the failed one
		return fmt.Errorf("cannot write the journal %s: %w", j.path, err)
	}
	j.pending = nil
	j.history.Claims, j.history.Before = maps.Clone(j.history.Claims), maps.Clone(j.history.Before)
	for _, r := range records {
		j.history.Add(r)
	}
	return nil
}

func (j *Journal) write(records []Record) error {
	if j.file == nil {
		born, err := j.open(records)
		if err != nil || born {
			return err
		}
	}
	data, err := encode(records)
	if err != nil {
		return err
	}
	end, err := j.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(data); err != nil {
		// A full disk may have taken half a line. A later record behind it would make of it garbage in the middle.
		return errors.Join(err, j.file.Truncate(end))
	}
	return j.file.Sync()
}

// open opens the file, after cutting off a torn tail, or brings it into being
// with these records.
func (j *Journal) open(records []Record) (born bool, err error) {
	_, err = os.Lstat(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := j.bear(records); err != nil {
			return false, err
		}
		born = true
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return born, err
	}
	if !born {
		if err := f.Truncate(j.whole); err != nil {
			_ = f.Close()
			return false, err
		}
	}
	j.file = f
	return born, nil
}

func (j *Journal) bear(records []Record) error {
	var encodeErr error
	made, err := durable.NewDir(j.state, 0o700, func(made []string) []durable.File {
		var data []byte
		data, encodeErr = encode(append(MadeDirs(records[0], j.state, made), records...))
		return []durable.File{{Path: j.path, Data: data, Mode: 0o600}}
	})
	if err != nil || encodeErr != nil {
		return errors.Join(err, encodeErr)
	}
	if made != nil {
		j.fold(MadeDirs(records[0], j.state, made))
		return nil
	}
	there, err := EntriesOf(records[0], j.state)
	if err != nil {
		return err
	}
	data, err := encode(append([]Record{there}, records...))
	if err != nil {
		return err
	}
	j.fold([]Record{there})
	return durable.WriteFile(j.path, data, 0o600)
}

// EntriesOf is the record of one of our own directories that was there before
// us: all in it but what is there now is ours.
func EntriesOf(like Record, dir string, ours ...string) (Record, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Record{}, err
	}
	made := resource.Claim{Resource: resource.EntriesOf(dir, "")}
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			made.Except = append(made.Except, e.Name())
		}
	}
	return Record{Time: like.Time, Verb: like.Verb, What: StepDone, Claim: &made}, nil
}

func (j *Journal) fold(records []Record) {
	for _, r := range records {
		j.history.Add(r)
	}
}

// MadeDirs are the records of a directory that was made together with its
// parents; the innermost is ours with all that is in it.
func MadeDirs(like Record, path string, made []string) []Record {
	records := make([]Record, 0, len(made))
	for _, dir := range made {
		kind := resource.Dir
		if dir == path {
			kind = resource.Tree
		}
		claim := &resource.Claim{Resource: resource.Resource{Kind: kind, Key: dir}}
		records = append(records, Record{Time: like.Time, Verb: like.Verb, What: StepDone, Claim: claim})
	}
	return records
}

func encode(records []Record) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf) // one line each
	enc.SetEscapeHTML(false)
	for _, r := range records {
		r.Time = r.Time.UTC().Truncate(time.Millisecond)
		r.Step, r.Error = redact.Text(r.Step), redact.Text(r.Error)
		if err := enc.Encode(r); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), nil
}

// History is what the journal adds up to now.
func (j *Journal) History() History {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.history
}

// Claim returns the claim to a resource.
func (j *Journal) Claim(r resource.Resource) (resource.Claim, bool) { return j.History().Claim(r) }

// Close closes the file. Every Commit has been synced before.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}

// retire closes the journal for good: it is about to be removed.
func (j *Journal) retire() error {
	err := j.Close()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.retired = true
	return err
}
