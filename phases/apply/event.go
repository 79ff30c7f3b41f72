package apply

import (
	"time"

	"github.com/kubecrank/kubecrank/phases/plan"
)

// Progress is told what Apply does, as it does it. Calls do not overlap.
type Progress interface {
	Report(Event)
}

// Event is one moment of an Apply.
type Event struct {
	Phase  string
	Step   string // Describe; "" for an event of the phase
	Moment Moment
	State  plan.State    // of a step that is done: what Compare had found
	Detail string        // one line for people
	Took   time.Duration // of a phase or step that ended
	Err    error
}

// Moment says what an Event stands for.
type Moment string

// The moments of an Apply.
const (
	PhaseStarted  Moment = "phase-started"
	PhaseIntended Moment = "phase-intended" // the journal holds all intents of the phase; nothing is done yet
	StepStarted   Moment = "step-started"
	StepNews      Moment = "step-news" // a step that takes long says how far it is
	StepEnded     Moment = "step-ended"
	PhaseEnded    Moment = "phase-ended"
)
