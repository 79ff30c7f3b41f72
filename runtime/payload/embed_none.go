//go:build !payload

package payload

// embedded is empty: this is the lean build.
var embedded []byte
