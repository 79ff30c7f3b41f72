package payload

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

// Any bytes survive absolute and relative, whatever they look like, at any base.
func FuzzSites(f *testing.F) {
	self, err := os.Executable()
	if err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[len(data)/4:len(data)/4+1<<16], int64(1<<22))
	f.Add([]byte{0xe8, 0, 0, 0, 0, 0x83, 0x3d, 1, 2, 3, 4, 0}, int64(0))
	f.Add(bytes.Repeat([]byte{0xe8}, 1000), int64(1<<31))
	f.Fuzz(func(t *testing.T, data []byte, base int64) {
		base &= 1<<31 - 1
		got := bytes.Clone(data)
		code := section{base, base + int64(len(data))}
		sites := absolute(got, base, code, 1<<32)
		if err := relative(got, base, sites); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Error("relative does not undo absolute")
		}
	})
}

// Two calls of one function from different places become the same bytes; that is the point of it.
func TestAbsoluteMakesCallsEqual(t *testing.T) {
	t.Parallel()
	data := make([]byte, 600)
	call := func(at int, target int32) {
		data[at] = 0xe8
		binary.LittleEndian.PutUint32(data[at+1:], uint32(target-int32(at)))
	}
	call(10, 5000)
	call(500, 5000)
	sites := absolute(data, 0, section{0, 600}, 1<<20)
	if !bytes.Equal(data[10:15], data[500:505]) {
		t.Errorf("% x and % x differ", data[10:15], data[500:505])
	}
	if want := []byte{11, skip, 490 - skip}; !bytes.Equal(sites, want) {
		t.Errorf("sites are %v, want %v", sites, want)
	}
}

// A site outside of its chunk is an error and not a panic: the sites come from a file.
func TestRelativeRefusesBadSites(t *testing.T) {
	t.Parallel()
	for _, sites := range [][]byte{{7}, {skip, skip, 1}, {254}} {
		if err := relative(make([]byte, 10), 0, sites); err == nil {
			t.Errorf("sites %v of a chunk of 10 bytes are accepted", sites)
		}
	}
}

// The code of a real program is found, and packing it is worth it.
func TestCodeOf(t *testing.T) {
	t.Parallel()
	file := program3(t)
	code, limit := codeOf(bytes.NewReader(file))
	if code.start != 0 || code.end < chunkSize || limit < code.end {
		t.Fatalf("the code is %v, the limit %d", code, limit)
	}
	if n := len(absolute(file[:chunkSize], 0, code, limit)); n < 1000 {
		t.Errorf("only %d operands are found in %d bytes of code", n, chunkSize)
	}
	if code, _ := codeOf(strings.NewReader("#!/bin/sh\n")); code != (section{}) {
		t.Errorf("a script has code: %v", code)
	}
}
