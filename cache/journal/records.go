package journal

import "fmt"

// Inode returns the record of an inode, nil if there is none.
func (tx *Tx) Inode(ino Ino) (*Inode, bool, error) {
	var i *Inode
	tx.scratch = numberKey(tx.scratch[:0], letterInode, ino)
	found, err := tx.get(tx.scratch, func(v []byte) (err error) {
		i, err = decodeInode(v)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("journal: inode %d: %w", ino, err)
	}
	return i, found, nil
}

// PutInode sets the record of an inode; i is not kept.
func (tx *Tx) PutInode(ino Ino, i *Inode) error {
	key := tx.keep(numberKey(tx.room(9), letterInode, ino))
	value := tx.keep(appendInode(tx.room(256), i))
	if err := tx.set(key, value); err != nil {
		return fmt.Errorf("journal: inode %d: %w", ino, err)
	}
	return nil
}

// DeleteInode removes the record of an inode, and only that.
func (tx *Tx) DeleteInode(ino Ino) error {
	if err := tx.delete(tx.keep(numberKey(tx.room(9), letterInode, ino))); err != nil {
		return fmt.Errorf("journal: inode %d: %w", ino, err)
	}
	return nil
}

// Inodes walks all inodes by number.
func (tx *Tx) Inodes(fn func(ino Ino, i *Inode) error) error {
	return tx.walk(scan{prefix: []byte{letterInode}}, func(key, value []byte) error {
		n, _, err := keyNumber(key)
		if err != nil {
			return fmt.Errorf("journal: inodes: %w", err)
		}
		i, err := decodeInode(value)
		if err != nil {
			return fmt.Errorf("journal: inode %d: %w", n, err)
		}
		return fn(Ino(n), i)
	})
}

// Dirent returns what a name in a directory stands for.
func (tx *Tx) Dirent(parent Ino, name string) (Dirent, bool, error) {
	var e Dirent
	tx.scratch = direntKey(tx.scratch[:0], parent, name)
	found, err := tx.get(tx.scratch, func(v []byte) (err error) {
		e, err = decodeDirent(v)
		return err
	})
	if err != nil {
		return Dirent{}, false, fmt.Errorf("journal: name %q in inode %d: %w", name, parent, err)
	}
	return e, found, nil
}

// PutDirent sets what a name in a directory stands for.
func (tx *Tx) PutDirent(parent Ino, name string, e Dirent) error {
	key := tx.keep(direntKey(tx.room(9+len(name)), parent, name))
	if err := tx.set(key, tx.keep(appendDirent(tx.room(12), e))); err != nil {
		return fmt.Errorf("journal: name %q in inode %d: %w", name, parent, err)
	}
	return nil
}

// DeleteDirent removes a name from a directory.
func (tx *Tx) DeleteDirent(parent Ino, name string) error {
	if err := tx.delete(tx.keep(direntKey(tx.room(9+len(name)), parent, name))); err != nil {
		return fmt.Errorf("journal: name %q in inode %d: %w", name, parent, err)
	}
	return nil
}

// Dirents walks the names of a directory that lie strictly behind after, in
// byte order. An empty after begins at the first name.
func (tx *Tx) Dirents(parent Ino, after string, fn func(name string, e Dirent) error) error {
	s := scan{prefix: numberKey(nil, letterDirent, parent)}
	if after != "" {
		s.after = direntKey(nil, parent, after)
	}
	return tx.walk(s, func(key, value []byte) error {
		name := string(key[len(s.prefix):])
		e, err := decodeDirent(value)
		if err != nil {
			return fmt.Errorf("journal: name %q in inode %d: %w", name, parent, err)
		}
		return fn(name, e)
	})
}

// HasDirents reports whether a directory has any name.
func (tx *Tx) HasDirents(parent Ino) (bool, error) {
	found := false
	prefix := numberKey(nil, letterDirent, parent)
	err := tx.walk(scan{prefix: prefix, keysOnly: true}, func(_, _ []byte) error {
		found = true
		return Stop
	})
	if err != nil {
		return false, fmt.Errorf("journal: names in inode %d: %w", parent, err)
	}
	return found, nil
}

// Listing returns what is known about a directory as a whole.
func (tx *Tx) Listing(dir Ino) (Listing, bool, error) {
	var l Listing
	tx.scratch = numberKey(tx.scratch[:0], letterListing, dir)
	found, err := tx.get(tx.scratch, func(v []byte) (err error) {
		l, err = decodeListing(v)
		return err
	})
	if err != nil {
		return Listing{}, false, fmt.Errorf("journal: listing of inode %d: %w", dir, err)
	}
	return l, found, nil
}

// PutListing sets what is known about a directory as a whole.
func (tx *Tx) PutListing(dir Ino, l Listing) error {
	key := tx.keep(numberKey(tx.room(9), letterListing, dir))
	if err := tx.set(key, tx.keep(appendListing(tx.room(24), &l))); err != nil {
		return fmt.Errorf("journal: listing of inode %d: %w", dir, err)
	}
	return nil
}

// DeleteListing forgets what is known about a directory as a whole.
func (tx *Tx) DeleteListing(dir Ino) error {
	if err := tx.delete(tx.keep(numberKey(tx.room(9), letterListing, dir))); err != nil {
		return fmt.Errorf("journal: listing of inode %d: %w", dir, err)
	}
	return nil
}
