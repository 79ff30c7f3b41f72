//go:build !race

package strictyaml

const slower = 1
