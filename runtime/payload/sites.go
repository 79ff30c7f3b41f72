package payload

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
)

// Machine code names the same function by another number at each place: x86
// operands are relative to the instruction. Packing adds the place to the
// operand, so that all calls of one function become the same bytes; staging
// subtracts it again. That makes the payload an eighth smaller (35.3 MB ->
// 30.9 MB) for 10 ms of one core.
//
// Where the operands are is told by the chunk's sites frame and not found
// again by decoding instructions: one byte per operand, the distance from the
// one before, with 255 for "255 bytes on, no operand here". A wrongly guessed
// site costs space and is otherwise harmless.

// operandSize is the length of a relative operand.
const operandSize = 4

// skip is the distance byte that stands for no operand.
const skip = 255

// absolute turns the relative operands of a chunk into absolute ones, in
// place, and returns their sites. base is the chunk's offset in the file; code
// is the range of the file that holds code, and limit the end of its
// address space in the same offsets.
func absolute(data []byte, base int64, code section, limit int64) (sites []byte) {
	from := max(code.start-base, 0)
	to := min(code.end-base, int64(len(data)))
	last := int64(0)
	for i := from; i+2+operandSize < to; i++ {
		at := i + operandAt(data[i:])
		if at == i {
			continue
		}
		place := base + at
		operand := int64(int32(binary.LittleEndian.Uint32(data[at:])))
		if target := place + operand; target < 0 || target >= limit {
			continue // not an operand after all
		}
		binary.LittleEndian.PutUint32(data[at:], uint32(place+operand))
		for ; at-last >= skip; last += skip {
			sites = append(sites, skip)
		}
		sites = append(sites, byte(at-last))
		last = at
		i = at + operandSize - 1
	}
	return sites
}

// relative undoes absolute.
func relative(data []byte, base int64, sites []byte) error {
	at := 0
	for _, distance := range sites {
		at += int(distance)
		if distance == skip {
			continue
		}
		if at+operandSize > len(data) {
			return errors.New("an operand lies outside of its chunk")
		}
		operand := data[at : at+operandSize]
		binary.LittleEndian.PutUint32(operand, binary.LittleEndian.Uint32(operand)-uint32(base+int64(at)))
	}
	return nil
}

// operandAt returns how far behind the start of code the operand of an
// instruction lies, 0 when code does not look like one that has any: CALL, LEA
// and MOV relative to the instruction pointer, and CMPL $0, which is how Go
// asks whether the write barrier is on.
func operandAt(code []byte) int64 {
	const ripRelative, modRM = 0x05, 0xc7
	switch op := code[0]; {
	case op == 0xe8:
		return 1
	case (op == 0x8d || op == 0x8b || op == 0x89) && code[1]&modRM == ripRelative:
		return 2
	case op == 0x83 && code[1] == 0x3d:
		return 2
	}
	return 0
}

// section is a range of a file.
type section struct{ start, end int64 }

// codeOf finds the code of an x86-64 ELF file, and the end of its memory image
// in file offsets. Any other file has no code: it is packed as it is.
func codeOf(file io.ReaderAt) (code section, limit int64) {
	f, err := elf.NewFile(file)
	if err != nil || f.Machine != elf.EM_X86_64 {
		return section{}, 0
	}
	var shift int64
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && code.end == 0 {
			code = section{int64(p.Off), int64(p.Off + p.Filesz)}
			shift = int64(p.Vaddr - p.Off)
		}
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			limit = max(limit, int64(p.Vaddr+p.Memsz)-shift)
		}
	}
	return code, limit
}
