package cache

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

const (
	// noncesKept is how many writes of unknown outcome a key remembers.
	noncesKept = 8
	// nonceHalf is the length, in digits, of what a session's nonces have in
	// common, and of what each has for itself.
	nonceHalf = 16
	// sessionsKept is how many sessions a cache remembers.
	sessionsKept = 32

	sessionsNote = "sessions"
)

// beginSession makes what the nonces of this process begin with, durably: a
// power cut may take a row's nonces, not whose they were. A copy of the cache
// has sessions of its own from then on.
func (c *Cache) beginSession() error {
	b, _, err := c.Note(sessionsNote)
	if err != nil {
		return err
	}
	c.before = strings.Fields(string(b))
	c.session = randomDigits()
	all := append([]string{c.session}, c.before...)
	all = all[:min(len(all), sessionsKept)]
	err = c.db.Update("session", func(tx *journal.Tx) error { return tx.PutNote(sessionsNote, []byte(strings.Join(all, " "))) })
	if err == nil {
		err = c.db.Sync()
	}
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

func randomDigits() string {
	b := make([]byte, nonceHalf/2)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// newNonce puts a fresh nonce before those of earlier writes.
func (c *Cache) newNonce(earlier string) string {
	all := append([]string{c.session + randomDigits()}, strings.Fields(earlier)...)
	return strings.Join(all[:min(len(all), noncesKept)], " ")
}

// newestNonce is the one that the content being sent carries.
func newestNonce(nonces string) string {
	newest, _, _ := strings.Cut(nonces, " ")
	return newest
}

// ownWrite reports whether an object carries one of a row's nonces.
func ownWrite(nonces string, o s3backend.Object) bool {
	n := o.Meta[metaNonce]
	return n != "" && slices.Contains(strings.Fields(nonces), n)
}

// forgotten reports whether an object is of an earlier session of this cache,
// but none that its row knows of: it was written after the journal had become
// durable for the last time before a power cut, and is newer than all that is
// left here.
func (c *Cache) forgotten(r *journal.Row, o s3backend.Object) bool {
	n := o.Meta[metaNonce]
	known := r.Known == journal.KnownThere && r.ETag == o.ETag
	return !known && len(n) == 2*nonceHalf && slices.Contains(c.before, n[:nonceHalf]) && !ownWrite(r.Nonce, o)
}
