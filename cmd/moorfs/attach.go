package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/fs"
	"github.com/moorfs/moorfs/s3backend"
)

// probe finds out what the server can do, once per cache and options, and
// refuses a server that does not encrypt as asked.
func (m *mounting) probe(ctx context.Context) error {
	if m.reg.ReadOnly {
		return nil
	}
	name := probeName(m.probed)
	known, found, err := m.cache.Note(name)
	if err != nil {
		return err
	}
	var caps s3backend.Capabilities
	if found {
		if err := json.Unmarshal(known, &caps); err != nil {
			m.log.Warn("what was known of the server cannot be read; asking it again", "error", err)
			found = false
		}
	}
	if !found && m.unreachable != nil {
		return fmt.Errorf("what the server can do with these options was never found out; mount once with network: %w", m.unreachable)
	}
	if !found {
		if caps, err = m.client.Probe(ctx, m.req.src.prefix); err != nil {
			return probeError(err, m.probed.SSE)
		}
		b, err := json.Marshal(caps)
		if err != nil {
			return fmt.Errorf("remember what the server can do: %w", err)
		}
		if err := m.cache.SetNote(name, b); err != nil {
			return err
		}
	}
	if err := checkCapabilities(m.req.set, caps); err != nil {
		return err
	}
	m.client.Use(caps)
	m.log.Info("server", "capabilities", fmt.Sprintf("%+v", caps))
	return nil
}

// checkCapabilities refuses what a server cannot do.
func checkCapabilities(s settings, caps s3backend.Capabilities) error {
	if s.text("exclusive-create") != string(cache.ExclusiveBucket) {
		return nil
	}
	if !caps.PutIf {
		return errors.New("--exclusive-create bucket: this server overwrites objects in spite of If-None-Match, so it cannot decide who was first; mount with --exclusive-create local")
	}
	if caps.OddAbsence {
		return errors.New("--exclusive-create bucket: this server takes what was deleted from this bucket, which keeps versions, for an object, so it cannot decide who was first; mount with --exclusive-create local")
	}
	return nil
}

// probeError says what would let a bucket be written to with the encryption
// sse.
func probeError(err error, sse string) error {
	if s3backend.KindOf(err) != s3backend.Denied {
		return err
	}
	needs := "s3:PutObject, s3:GetObject and s3:DeleteObject"
	if strings.HasPrefix(sse, "aws:kms") {
		needs += ", and kms:GenerateDataKey and kms:Decrypt of the key"
	}
	return fmt.Errorf("the bucket cannot be written to (mount it with --read-only, or allow %s): %w", needs, err)
}

// fsOptions says how the kernel's side is to behave.
func (m *mounting) fsOptions(dir string) fs.Options {
	s, f := m.req.set, m.req.flags
	asRoot := os.Geteuid() == 0
	return fs.Options{
		Mountpoint: dir, Source: m.req.src.String(), AllowOther: s.on("allow-other"), AllowRoot: s.on("allow-root"),
		ReadOnly: s.on("read-only"), EntryTTL: s.wait("attr-ttl"), AttrTTL: s.wait("attr-ttl"), NegativeTTL: s.wait("negative-ttl"),
		Debug: s.on("debug-fuse"), Xattrs: s.on("xattrs"), Log: m.log,
		Suid: f.suid && asRoot, Dev: f.dev && asRoot, Nonempty: f.nonempty, FuseOptions: f.words,
	}
}

// mount hands the cache to the kernel and waits until it answers.
func (m *mounting) mount(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	var err error
	if m.server, err = fs.Mount(m.cache, m.fsOptions(m.reg.Mountpoint)); err != nil {
		return err
	}
	m.reg.Connection = m.server.Connection()
	m.undo.push(onFailure, func() error {
		if err := unmountDir(m.reg.Mountpoint, lazily); err != nil {
			return err
		}
		m.server.Wait()
		return nil
	})
	return nil
}

// announce makes the mount known: to clients of the control socket, to
// umount(8), to the other verbs and to later ones.
func (m *mounting) announce(l *live) error {
	reg, err := ownRegistry()
	if err != nil {
		return err
	}
	index, err := ownCacheIndex()
	if err != nil {
		return err
	}
	m.undo.push(always, func() error { return reg.remove(m.reg) })
	c, err := serveControl(m.reg.Socket, l, m.log)
	if err != nil {
		return err
	}
	m.undo.push(always, c.close)
	if m.web != nil {
		m.undo.push(always, serveHTTP(m.web, l).close)
	}
	if err := reg.add(m.reg); err != nil {
		return err
	}
	if os.Geteuid() == 0 { // for other users umount(8) does nothing anyway
		m.undo.push(always, func() error { return systemUtab().remove(m.reg.Mountpoint) })
		if err := systemUtab().add(m.reg.Source, m.reg.Mountpoint); err != nil {
			return err
		}
	}
	if err := index.put(m.note(nil, false)); err != nil { // last: an earlier note may speak of unsent work
		return err
	}
	m.undo.push(always, func() error { return index.put(m.note(l.result, true)) })
	return nil
}

// note is the entry of our cache in the index.
func (m *mounting) note(result error, ended bool) cacheNote {
	n := cacheNote{Source: m.reg.Source, Endpoint: m.reg.Endpoint, CacheDir: m.reg.CacheDir, Region: m.client.Region(), Ended: ended}
	if left := new(leftover); errors.As(result, &left) {
		n.Left = &left.Progress
	}
	return n
}

// warnOfIdleCaches reminds of work for this bucket that waits in another
// cache. The mount does not fail because of it.
func (m *mounting) warnOfIdleCaches() {
	idle, err := idleCaches()
	if err != nil {
		m.log.Warn("other caches", "error", err)
	}
	for _, n := range idle {
		other, err := parseSource(n.Source)
		if err != nil || other.bucket != m.req.src.bucket || n.Endpoint != m.reg.Endpoint || n.CacheDir == m.reg.CacheDir {
			continue
		}
		if err := m.ready.warn("unsent work in another cache: " + n.describe()); err != nil {
			m.log.Warn("other caches", "error", err)
		}
	}
}

// idleCaches returns this user's caches with unsent work that nobody sends.
func idleCaches() ([]cacheNote, error) {
	running, err := mountsHere()
	if err != nil {
		return nil, err
	}
	index, err := ownCacheIndex()
	if err != nil {
		return nil, err
	}
	return index.idle(running)
}
