//go:build payload

package payload

import _ "embed" // for go:embed

// embedded is made by cmd/pack (make build). It stays in the program file's
// own pages until a frame of it is read.
//
//go:embed payload.bin
var embedded []byte
