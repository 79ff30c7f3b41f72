package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
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
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	mappings, err := cleanMappings(f, exe)
	if err != nil {
		return err
	}
	for _, m := range mappings {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("cannot give back program pages: %w", errno)
		}
	}
	return nil
}

type mapping struct{ start, end uintptr }

// cleanMappings finds in the text of /proc/self/smaps the mappings of a file that cannot be written and of
// which no page was ever written: neither relocations (of a position independent program) nor a
// debugger's breakpoints would come back from the file.
func cleanMappings(smaps io.Reader, file string) ([]mapping, error) {
	var clean []mapping
	var m mapping
	ours := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		line := lines.Text()
		var start, end uintptr
		var perms string
		if n, err := fmt.Sscanf(line, "%x-%x %4s", &start, &end, &perms); err == nil && n == 3 {
			m = mapping{start, end}
			ours = (perms == "r-xp" || perms == "r--p") && strings.HasSuffix(line, " "+file)
			if ours {
				clean = append(clean, m)
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if ours && (name == "Anonymous" || name == "Swap") && strings.TrimSpace(value) != "0 kB" {
			clean = clean[:len(clean)-1]
			ours = false
		}
	}
	return clean, lines.Err()
}
