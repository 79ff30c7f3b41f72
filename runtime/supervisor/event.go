package supervisor

import "github.com/kubecrank/kubecrank/runtime"

// event is something that happened to a pod; each kind has one method that handles it.
type event interface{ isEvent() }

type (
	// evWant says what shall run from now on, and what the order of the pods allows.
	evWant struct {
		pod         *runtime.Pod
		start, stop bool
		waitingFor  string // why not yet
		seq         int
	}
	evOpened struct {
		pod     *runtime.Pod
		sandbox runtime.Sandbox
		err     error
	}
	evClosed  struct{ err error }
	evSandbox struct{ sandbox runtime.Sandbox } // it has ended by itself
	evRetry   struct{ n int }                   // opening or closing may be tried again
	evRestart struct{}                          // somebody asked for it
	evQuit    struct{}
	// The events of containers carry the run they are about: an answer to an earlier run is stale.
	evStarted struct {
		c   *container
		run int
		rc  runtime.Container
		err error
	}
	evHooked struct {
		c   *container
		run int
		err error
	}
	evEnded struct { // its process has; what it left may still run
		c    *container
		run  int
		exit runtime.Exit
	}
	evLeft struct { // what cannot be stopped so far
		c   *container
		run int
		err error
	}
	evExited struct { // nothing of it is left
		c   *container
		run int
	}
	evDue struct { // the back-off is over
		c   *container
		run int
	}
	evProbe struct {
		c   *container
		run int
		probeReport
	}
)

func (evWant) isEvent()    {}
func (evOpened) isEvent()  {}
func (evClosed) isEvent()  {}
func (evSandbox) isEvent() {}
func (evRetry) isEvent()   {}
func (evRestart) isEvent() {}
func (evQuit) isEvent()    {}
func (evStarted) isEvent() {}
func (evHooked) isEvent()  {}
func (evEnded) isEvent()   {}
func (evLeft) isEvent()    {}
func (evExited) isEvent()  {}
func (evDue) isEvent()     {}
func (evProbe) isEvent()   {}
