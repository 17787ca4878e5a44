package journal

import (
	"errors"
	"fmt"
)

// format is that of the whole journal. It changes when an older moorfs must
// not open it at all; a record alone has its own version.
const format = 1

// state is the Z record.
type state struct {
	identity Identity
	boot     string // id of the boot in which it was last opened
	clean    bool   // closed in order
}

func (tx *Tx) putState(s *state) error {
	if err := tx.set([]byte{letterState}, appendState(nil, s)); err != nil {
		return fmt.Errorf("journal: state: %w", err)
	}
	return nil
}

func (tx *Tx) state() (s *state, found bool, err error) {
	found, err = tx.get([]byte{letterState}, func(v []byte) (err error) {
		s, err = decodeState(v)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("journal: state: %w", err)
	}
	return s, found, nil
}

// mustBeEmpty fails if there are records: without a state nothing says to
// which bucket they belong.
func (tx *Tx) mustBeEmpty() error {
	empty := true
	err := tx.walk(scan{keysOnly: true}, func(_, _ []byte) error {
		empty = false
		return Stop
	})
	if err == nil && !empty {
		err = fmt.Errorf("%w: it has records but no state", ErrDamaged)
	}
	return err
}

// appendState writes the format where every version finds it: first, behind
// the version of the record.
func appendState(b []byte, s *state) []byte {
	b = append(b, recordVersion)
	b = appendUint(b, uint64(format))
	b = appendString(b, s.identity.Endpoint)
	b = appendString(b, s.identity.Bucket)
	b = appendString(b, s.identity.Prefix)
	b = appendString(b, s.boot)
	return appendBool(b, s.clean)
}

func decodeState(b []byte) (*state, error) {
	if len(b) == 0 {
		return nil, errors.Join(ErrDamaged, errors.New("empty state"))
	}
	d := decoder{b: b[1:]}
	have := d.uint64()
	if !d.bad && have > format {
		return nil, &FormatError{Have: have, Know: format}
	}
	if b[0] != recordVersion {
		d.fail()
	}
	s := &state{
		identity: Identity{Endpoint: d.string(), Bucket: d.string(), Prefix: d.string()},
		boot:     d.string(),
		clean:    d.bool(),
	}
	return s, d.done()
}
