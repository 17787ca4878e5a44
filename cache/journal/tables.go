package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// smallTables is up to which size all tables are read when a journal is opened.
const smallTables = 256 << 20

var errFooter = errors.New("a length in it makes no sense")

// checkTables looks at every table that belongs to the journal: at its index,
// and as long as they are small together at all of it. Badger opens tables in
// goroutines of its own and panics there, beyond any recover, if they are
// damaged: the process would die at every start. And a walk that meets a
// damaged block ends there without an error.
func checkTables(o badger.Options) error {
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m, _, err := badger.ReplayManifestFile(f, o.ExternalMagicVersion, o)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	left := int64(smallTables)
	for id, t := range m.Tables {
		name := table.NewFilename(id, o.Dir)
		size, err := checkTable(name, left > 0 && t.Compression == options.None) // the sums of ours are of what lies on the disk
		if err != nil {
			return fmt.Errorf("%w: table %s: %w", ErrDamaged, filepath.Base(name), err)
		}
		left -= size
	}
	return nil
}

// checkTable compares a table's index with its checksum, and its blocks with
// theirs, and returns its size.
func checkTable(name string, blocks bool) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	sum, end, err := lastPiece(f, info.Size())
	if err != nil {
		return 0, err
	}
	index, _, err := lastPiece(f, end)
	if err == nil {
		err = verify(index, sum)
	}
	if err != nil || !blocks {
		return info.Size(), err
	}
	all := fb.GetRootAsTableIndex(index, 0)
	var at fb.BlockOffset
	for i := range all.OffsetsLength() {
		if !all.Offsets(&at, i) {
			return 0, errFooter
		}
		if err := checkBlock(f, int64(at.Offset()), int64(at.Len())); err != nil {
			return 0, err
		}
	}
	return info.Size(), nil
}

func checkBlock(f io.ReaderAt, off, n int64) error {
	sum, end, err := lastPiece(f, off+n)
	if err != nil || end < off {
		return errors.Join(errFooter, err)
	}
	data := make([]byte, end-off)
	if _, err := f.ReadAt(data, off); err != nil {
		return err
	}
	return verify(data, sum)
}

// verify compares data with an encoded checksum, a message of two numbers of
// which those that are 0 are left out.
func verify(data, sum []byte) error {
	var want pb.Checksum
	for len(sum) > 0 {
		v, n := binary.Uvarint(sum[1:])
		if n <= 0 {
			return errFooter
		}
		switch sum[0] {
		case 1 << 3:
			want.Algo = pb.Checksum_Algorithm(v)
		case 2 << 3:
			want.Sum = v
		default:
			return errFooter
		}
		sum = sum[1+n:]
	}
	if _, known := pb.Checksum_Algorithm_name[int32(want.Algo)]; !known || len(data) == 0 {
		return errFooter
	}
	return y.VerifyChecksum(data, &want)
}

// lastPiece returns what the four bytes before end say the length of, and where
// that begins.
func lastPiece(f io.ReaderAt, end int64) (piece []byte, at int64, err error) {
	var length [4]byte
	if end < 4 {
		return nil, 0, errFooter
	}
	if _, err := f.ReadAt(length[:], end-4); err != nil {
		return nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if at = end - 4 - n; at < 0 {
		return nil, 0, errFooter
	}
	piece = make([]byte, n)
	_, err = f.ReadAt(piece, at)
	return piece, at, err
}
