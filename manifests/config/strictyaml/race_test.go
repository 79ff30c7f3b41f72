//go:build race

package strictyaml

// slower is how much longer the race detector may take.
const slower = 10
