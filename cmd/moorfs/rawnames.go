package main

import (
	"encoding/json"
	"unicode/utf8"
)

// JSON replaces what is not UTF-8, and names of files need not be: rawNames
// goes with a struct and has the bytes of such fields, by the name of the field.
type rawNames map[string][]byte

// rawOf returns what JSON would change of fields.
func rawOf(fields map[string]*string) rawNames {
	var raw rawNames
	for name, s := range fields {
		if utf8.ValidString(*s) {
			continue
		}
		if raw == nil {
			raw = rawNames{}
		}
		raw[name] = []byte(*s)
	}
	return raw
}

// restore undoes what JSON has changed of fields.
func (r rawNames) restore(fields map[string]*string) {
	for name, b := range r {
		if s, ok := fields[name]; ok {
			*s = string(b)
		}
	}
}

// inJSON returns name as it comes out of JSON without rawNames.
func inJSON(name string) string { return string([]rune(name)) }

func (m *registration) rawFields() map[string]*string {
	return map[string]*string{"mountpoint": &m.Mountpoint, "source": &m.Source, "cache_dir": &m.CacheDir, "socket": &m.Socket}
}

// MarshalJSON implements json.Marshaler.
func (m registration) MarshalJSON() ([]byte, error) {
	type plain registration
	return json.Marshal(struct {
		plain
		Raw rawNames `json:"raw,omitempty"`
	}{plain(m), rawOf(m.rawFields())})
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *registration) UnmarshalJSON(b []byte) error {
	type plain registration
	v := struct {
		*plain
		Raw rawNames `json:"raw"`
	}{plain: (*plain)(m)}
	err := json.Unmarshal(b, &v)
	v.Raw.restore(m.rawFields())
	return err
}

func (n *cacheNote) rawFields() map[string]*string {
	return map[string]*string{"source": &n.Source, "cache_dir": &n.CacheDir}
}

// MarshalJSON implements json.Marshaler.
func (n cacheNote) MarshalJSON() ([]byte, error) {
	type plain cacheNote
	return json.Marshal(struct {
		plain
		Raw rawNames `json:"raw,omitempty"`
	}{plain(n), rawOf(n.rawFields())})
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *cacheNote) UnmarshalJSON(b []byte) error {
	type plain cacheNote
	v := struct {
		*plain
		Raw rawNames `json:"raw"`
	}{plain: (*plain)(n)}
	err := json.Unmarshal(b, &v)
	v.Raw.restore(n.rawFields())
	return err
}
