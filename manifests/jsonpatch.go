package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// applyMergePatch is RFC 7386, by the library that kubeadm uses.
func applyMergePatch(object, patch []byte) ([]byte, error) {
	if len(patch) == 0 || patch[0] != '{' {
		return nil, errors.New("a merge patch is a mapping, and this is none")
	}
	return jsonpatch.MergePatch(object, patch)
}

// operation is one of a JSON patch.
type operation struct {
	Op    string          `json:"op"`
	Path  *string         `json:"path"`
	From  *string         `json:"from,omitempty"`
	Value json.RawMessage `json:"value,omitempty"` // nil if there is none, "null" if it is null
}

// A patch that copies the document into itself again and again must not grow it without limit.
const (
	maxOperations = 1000
	maxPatched    = 256 << 10 // bytes of JSON; a manifest has 5 KB
)

// applyJSONPatch is RFC 6902, by the library that kubeadm uses: all operations
// in order, or an error that names the first one which cannot be done.
func applyJSONPatch(object, patch []byte) ([]byte, error) {
	var operations []operation
	decoder := json.NewDecoder(bytes.NewReader(patch))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&operations); err != nil {
		return nil, fmt.Errorf("it is no list of operations: %s", cause(err))
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

// check finds what the library lets through, or has no words for.
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

// apply guards against the library, which takes some of a document's form for granted.
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

// plainly says in few words what the library says with the path once more.
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
