package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// applyMergePatch applies a merge patch (RFC 7386) with kubeadm's library.
func applyMergePatch(object, patch []byte) ([]byte, error) {
	if len(patch) == 0 || patch[0] != '{' {
		return nil, errors.New("a merge patch must be a mapping")
	}
	return jsonpatch.MergePatch(object, patch)
}

// operation is one item of a JSON patch.
type operation struct {
	Op    string          `json:"op"`
	Path  *string         `json:"path"`
	From  *string         `json:"from,omitempty"`
	Value json.RawMessage `json:"value,omitempty"` // nil if missing, "null" if null
}

// The limits stop a patch that copies the document into itself again and again.
const (
	maxOperations = 1000
	maxPatched    = 256 << 10 // bytes of JSON; a manifest is 5 KB
)

// applyJSONPatch applies all operations of a JSON patch (RFC 6902) in order, with
// kubeadm's library. The error names the first operation that fails.
func applyJSONPatch(object, patch []byte) ([]byte, error) {
	var operations []operation
	decoder := json.NewDecoder(bytes.NewReader(patch))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&operations); err != nil {
		return nil, fmt.Errorf("it is not a list of operations: %s", cause(err))
	}
	if len(operations) > maxOperations {
		return nil, fmt.Errorf("it has more than %d operations", maxOperations)
	}
	for i, o := range operations {
		err := o.check()
		if err == nil {
			object, err = o.apply(object)
		}
		if err == nil && len(object) > maxPatched {
			err = fmt.Errorf("it makes more than %d bytes of the manifest", maxPatched)
		}
		if err != nil {
			return nil, fmt.Errorf("its operation %d: %w", i+1, err)
		}
	}
	return object, nil
}

// check finds mistakes that the library accepts, or does not explain.
func (o operation) check() error {
	needsFrom := false
	switch o.Op {
	case "add", "replace", "test", "remove":
	case "copy", "move":
		needsFrom = true
	default:
		return fmt.Errorf("there is no operation %q", o.Op)
	}
	switch {
	case o.Path == nil:
		return errors.New("it has no path")
	case needsFrom && o.From == nil:
		return fmt.Errorf("%s has no from", o.Op)
	case *o.Path == "" || needsFrom && *o.From == "":
		return fmt.Errorf("cannot %s the whole document", o.Op)
	case !strings.HasPrefix(*o.Path, "/"):
		return fmt.Errorf("the path %q does not begin with a slash", *o.Path)
	case needsFrom && !strings.HasPrefix(*o.From, "/"):
		return fmt.Errorf("the path %q does not begin with a slash", *o.From)
	case o.Op == "move" && strings.HasPrefix(*o.Path, *o.From+"/"):
		return fmt.Errorf("cannot move %s into itself", *o.From)
	case o.Value == nil && (o.Op == "add" || o.Op == "replace" || o.Op == "test"):
		return fmt.Errorf("%s %s has no value", o.Op, *o.Path)
	}
	return nil
}

// apply does one operation. It recovers from the library's panic on a document of another form.
func (o operation) apply(object []byte) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("cannot %s %s: %v", o.Op, *o.Path, r)
		}
	}()
	one, err := json.Marshal([]operation{o})
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(one)
	if err != nil {
		return nil, err
	}
	if out, err = patch.Apply(object); err != nil {
		return nil, fmt.Errorf("cannot %s %s: %w", o.Op, *o.Path, plainly(err))
	}
	return out, nil
}

// plainly replaces the library's texts, which repeat the path.
func plainly(err error) error {
	switch {
	case errors.Is(err, jsonpatch.ErrTestFailed):
		return errors.New("it has another value")
	case errors.Is(err, jsonpatch.ErrInvalidIndex):
		return errors.New("the list has no such item")
	case errors.Is(err, jsonpatch.ErrMissing):
		return errors.New("the manifest has nothing there")
	}
	return err
}
