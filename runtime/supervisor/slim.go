package supervisor

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// A supervisor runs for months, and most of what it has in memory is its own program: a start touches
// three quarters of it, the months after that a tenth. So some time after the start, and when it has been
// busy, it gives back what it does not need: free heap, and the pages of the program, which the kernel
// brings back from the file when they are used again.
const (
	slimAfter = 15 * time.Second
	slimEvery = 10 * time.Minute
)

func (s *supervisor) slim(ctx context.Context) {
	for wait := slimAfter; sleepUntil(ctx, time.Now().Add(wait)); wait = slimEvery {
		debug.FreeOSMemory()
		if err := dropProgramPages(); err != nil {
			s.log.Debug("cannot give back memory", "error", err)
		}
	}
}

// dropProgramPages unmaps the pages of this program's file that are as they are in the file.
func dropProgramPages() error {
	program, err := procfs.Exe(os.Getpid())
	if err != nil {
		return err
	}
	mappings, err := procfs.Mappings()
	if err != nil {
		return err
	}
	for _, m := range mappings {
		if !clean(m, program) {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.Start, m.End-m.Start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("cannot give back program pages: %w", errno)
		}
	}
	return nil
}

// clean holds for a mapping of a file that cannot be written and of which no page was ever written: neither
// relocations (of a position independent program) nor a debugger's breakpoints would come back from the file.
func clean(m procfs.Mapping, file string) bool {
	return (m.Perms == "r-xp" || m.Perms == "r--p") && m.File == file && !m.Written
}
