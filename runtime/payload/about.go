package payload

import "github.com/klauspost/compress/zstd"

// maxAbout bounds the data about the components: a hundred times what they have.
const maxAbout = 8 << 20

// compressAbout makes the same frame of the same data, on every machine.
func compressAbout(data []byte) ([]byte, error) {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return zip.EncodeAll(data, nil), nil
}

func expandAbout(frame []byte) ([]byte, error) {
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxAbout), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer unzip.Close()
	return unzip.DecodeAll(frame, nil)
}
