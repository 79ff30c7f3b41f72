package plan

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The size of the evidence.
const (
	tailLines = 8
	tailBytes = 16 << 10
	lineBytes = 300
)

// tailLog returns the last lines of a container's log, or of the one before it
// when this one is still empty. It is evidence for an error that is under way,
// so a log that cannot be read is no lines.
func tailLog(path string) []string {
	if path == "" {
		return nil
	}
	if lines := tailFile(path); len(lines) > 0 {
		return lines
	}
	n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".log"))
	if err != nil || n == 0 {
		return nil
	}
	return tailFile(filepath.Join(filepath.Dir(path), strconv.Itoa(n-1)+".log"))
}

func tailFile(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	offset := max(0, info.Size()-tailBytes)
	data, err := io.ReadAll(io.NewSectionReader(f, offset, tailBytes))
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if offset > 0 {
		lines = lines[1:] // cut in the middle
	}
	lines = lines[max(0, len(lines)-tailLines):]
	var out []string
	for _, line := range lines {
		if line = message(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// message takes the kubelet's prefix ("2026-01-02T03:04:05.6Z stderr F ") off a log line.
func message(line string) string {
	if parts := strings.SplitN(line, " ", 4); len(parts) == 4 && (parts[1] == "stdout" || parts[1] == "stderr") {
		line = parts[3]
	}
	line = structured(strings.TrimRight(line, " \r"))
	if len(line) > lineBytes {
		line = strings.ToValidUTF8(line[:lineBytes], "") + "..."
	}
	return line
}

// structured makes "fatal: discovery failed: address already in use" of the
// JSON that etcd logs. Any other line stays as it is.
func structured(line string) string {
	var entry struct{ Level, Msg, Error string }
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &entry) != nil || entry.Msg == "" {
		return line
	}
	line = entry.Level + ": " + entry.Msg
	if entry.Error != "" {
		line += ": " + entry.Error
	}
	return line
}
