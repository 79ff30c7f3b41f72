// Package payload is the set of upstream components that kubecrank carries in
// its own file, or finds on the machine.
//
//	bin/components --Pack (at build time)--> payload.bin --go:embed--> Embedded
//	                                                                      |
//	     DIR/<digest>/{components, etcd -> components, ...} <--Stage------+--Verify
//	     --components-dir or PATH --Locate--> the same names, nothing staged
//
// # Format
//
// A payload is one file, components, cut into chunks of 1 MiB. Each chunk is a
// zstd frame of its own, so that all cores decompress, check and write at the
// same time, with one chunk in memory per core:
//
//	8 bytes   magic "KCPAY\x00\x00\x01", the last byte is the format's version
//	4 bytes   length of the index, little endian
//	index     JSON, see type index: version, names, size, SHA-256, and per chunk its sum and frame lengths
//	frames    for each chunk: the data frame, then its sites frame (see sites.go)
//
// # What is checked, and with what
//
// The digest is the SHA-256 of the whole components file: sha256sum of a
// staged file prints the name of its directory. It is computed when packing.
// While staging and verifying, each chunk is compared with its XXH64 sum from
// the index: SHA-256 runs at 210 MB/s on a core without SHA instructions, which
// would make staging three times as long, and would protect from nobody,
// because whoever can alter the index can alter the chunks and the program.
// What the sums are for is damage: a short write, a bad disk, a file that
// somebody replaced.
package payload
