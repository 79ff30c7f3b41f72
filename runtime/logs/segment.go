package logs

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
)

// segment is a rotated file: it does not change any more.
type segment struct {
	name    string
	file    *os.File
	gzipped bool
	offset  int64
	plain   *gzip.Reader // of a gzipped file, at the offset
}

func (s *segment) close() { _ = s.file.Close() }

func (s *segment) read(buf []byte) (int, error) {
	if !s.gzipped {
		n, err := s.file.ReadAt(buf, s.offset)
		s.offset += int64(n)
		return n, err
	}
	if s.plain == nil {
		z, err := s.unpack()
		if err != nil {
			return 0, err
		}
		if _, err := io.CopyN(io.Discard, z, s.offset); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		s.plain = z
	}
	n, err := s.plain.Read(buf)
	s.offset += int64(n)
	return n, err
}

func (s *segment) unpack() (*gzip.Reader, error) {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return gzip.NewReader(s.file)
}

// part returns the segment as a piece of the text that the tail is looked for in. Of a gzipped one it is only the end:
// a few bytes can unpack to gigabytes.
func (s *segment) part() (part, error) {
	seek := func(o int64) { s.offset = o }
	if !s.gzipped {
		info, err := s.file.Stat()
		if err != nil {
			return part{}, err
		}
		return part{ReaderAt: s.file, start: s.offset, end: info.Size(), seek: seek}, nil
	}
	z, err := s.unpack()
	if err != nil {
		return part{}, err
	}
	last, size := lastBytes{limit: gzipWindow}, int64(0)
	buf := make([]byte, 64<<10)
	for {
		n, err := z.Read(buf)
		_, _ = last.Write(buf[:n]) // into memory
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return part{}, err
		}
	}
	window := last.trim()
	start := size - int64(len(window))
	return part{
		ReaderAt: shifted{window, start}, start: max(s.offset, start), end: size, first: start > s.offset, seek: seek,
	}, nil
}

// gzipWindow is how much of the end of a gzipped file is looked at; a kubelet rotates at 10 MiB.
const gzipWindow = 16 << 20

// shifted reads data that lies at an offset.
type shifted struct {
	data []byte
	at   int64
}

// ReadAt implements io.ReaderAt.
func (s shifted) ReadAt(p []byte, off int64) (int, error) {
	if off < s.at || off >= s.at+int64(len(s.data)) {
		return 0, io.EOF
	}
	n := copy(p, s.data[off-s.at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
