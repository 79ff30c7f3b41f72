package config

// InvalidFiles are the files of TestInvalidFiles, for the test through the command line, but for those
// that are good for another verb than they are given to.
func InvalidFiles() (files []struct {
	Name, Text string
	Line       int
}) {
	for _, f := range invalidFiles() {
		if f.name == "not for "+f.verb {
			continue
		}
		files = append(files, struct {
			Name, Text string
			Line       int
		}{f.verb + " " + f.name, f.text, f.line})
	}
	return files
}
