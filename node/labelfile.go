package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/shoal-mesh/shoal/durable"
)

// labelFile is HOME/labels.json: the labels that were set with `node labels set`.
type labelFile struct {
	Version int               `json:"version"`
	Labels  map[string]string `json:"labels"`
}

const (
	labelFileVersion = 1
	maxLabelFile     = 64 << 10 // bytes: more than all labels that peers take
)

// readLabels reads a label file; none is no labels. What is not as writeLabels
// makes it is refused: a node that forgets a label would lose jobs meant for it.
func readLabels(file string) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the labels: %w", err)
	}
	damaged := func(why string) error {
		return fmt.Errorf("%s is damaged: %s; mend it, or remove it and set the labels again with `node labels set`", file, why)
	}
	if len(b) > maxLabelFile {
		return nil, damaged(fmt.Sprintf("it has %d bytes", len(b)))
	}
	var head struct{ Version int }
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, damaged(err.Error())
	}
	if head.Version > labelFileVersion {
		return nil, fmt.Errorf("%s was written by a newer Shoal (format %d, this one reads %d): run that one with this home", file, head.Version, labelFileVersion)
	}
	var f labelFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, damaged(err.Error())
	}
	if f.Version != labelFileVersion || f.Labels == nil {
		return nil, damaged("it has no version, or no labels")
	}
	for k, v := range f.Labels {
		if err := checkGrammar(k, v); err != nil {
			return nil, damaged(err.Error())
		}
	}
	return f.Labels, nil
}

// writeLabels writes a label file, whole or not at all.
func writeLabels(file string, labels map[string]string) error {
	b, err := json.MarshalIndent(labelFile{labelFileVersion, labels}, "", "  ")
	if err == nil {
		err = durable.Replace(file, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep the labels in %s: %w", file, err)
	}
	return nil
}
