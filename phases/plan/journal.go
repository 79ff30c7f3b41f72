package plan

// Journal is the append-only record of what was done to this machine.
type Journal struct{}
