package evidence

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/redact"
)

// The size of what is read of a log, and of what is shown.
const (
	readBytes  = 64 << 10
	readLines  = 400
	shownLines = 8
	shownBytes = 300 // of a line
)

// Tail returns the last lines of a container's log for people, or of the one
// before it when this one is still empty. It is evidence for an error that is
// under way, so a log that cannot be read is no lines.
func Tail(path string) []string {
	lines := readLog(path, time.Time{})
	if len(lines) == 0 {
		lines = readLog(previousLog(path), time.Time{})
	}
	return shown(lines)
}

// WithoutSecrets hides in lines what the manifest of a pod says is a credential.
func WithoutSecrets(source string, lines []string) []string {
	values := redact.Values(string(readManifest(source)))
	hidden := make([]string, len(lines))
	for i, line := range lines {
		hidden[i] = redact.Known(line, values)
	}
	return hidden
}

// shown are the last lines that say something: neither the stack traces after a
// panic nor the help text after a wrong flag, which hide what led to them.
func shown(lines []string) []string {
	var out []string
	for i, line := range lines {
		if line == "" {
			continue
		}
		if i > 0 && (strings.HasPrefix(line, "goroutine ") || line == "Usage:") && isLastWord(lines[:i]) {
			break
		}
		if len(line) > shownBytes {
			line = strings.ToValidUTF8(line[:shownBytes], "") + "..."
		}
		out = append(out, line)
	}
	return out[max(0, len(out)-shownLines):]
}

// isLastWord says whether a program ends with the last of these lines, but for what explains it.
func isLastWord(lines []string) bool {
	for _, line := range slices.Backward(lines[max(0, len(lines)-3):]) {
		for _, word := range []string{"panic:", "fatal error:", "flag provided but not defined", "invalid value", "[signal "} {
			if strings.HasPrefix(line, word) {
				return true
			}
		}
	}
	return false
}

// previousLog is the log of the container's instance before this one, "" for none.
func previousLog(path string) string {
	n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".log"))
	if err != nil || n == 0 {
		return ""
	}
	return filepath.Join(filepath.Dir(path), strconv.Itoa(n-1)+".log")
}

// readLog returns the last lines that were written since, oldest first. A container may have put a pipe or a link
// in the place of its log: it is neither waited for nor followed.
func readLog(path string, since time.Time) []string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	offset := max(0, info.Size()-readBytes)
	data, err := io.ReadAll(io.NewSectionReader(f, offset, readBytes))
	if err != nil || len(data) == 0 {
		return nil
	}
	raw := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if offset > 0 {
		raw = raw[1:] // cut in the middle
	}
	var lines []string
	for _, line := range raw {
		if text, at := plain(line); at.IsZero() || !at.Before(since) {
			lines = append(lines, structured(strings.TrimRight(text, " \r")))
		}
	}
	return lines[max(0, len(lines)-readLines):]
}

// plain takes the kubelet's prefix ("2026-01-02T03:04:05.6Z stderr F ") off a log line.
func plain(line string) (text string, at time.Time) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) != 4 || parts[1] != "stdout" && parts[1] != "stderr" {
		return line, time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, parts[0])
	if err != nil {
		return line, time.Time{}
	}
	return parts[3], at
}

// structured makes "fatal: discovery failed: address already in use" of the
// JSON that etcd logs, with the other fields of a warning or worse in
// parentheses. Any other line stays as it is.
func structured(line string) string {
	var entry map[string]any
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &entry) != nil {
		return line
	}
	level, isEntry := entry["level"].(string)
	msg, hasMessage := entry["msg"].(string)
	if !isEntry || !hasMessage {
		return line
	}
	out := level + ": " + msg
	if cause, ok := entry["error"].(string); ok {
		out += ": " + cause
	}
	if level == "info" || level == "debug" {
		return out
	}
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(entry)) {
		switch name {
		case "level", "ts", "msg", "error", "caller", "stacktrace", "logger":
		default:
			fields = append(fields, fmt.Sprintf("%s=%v", name, entry[name]))
		}
	}
	if len(fields) > 0 {
		out += " (" + strings.Join(fields, " ") + ")"
	}
	return out
}
