package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
)

// maxLog is the size beyond which a log is set aside when a mount starts.
const maxLog = 10 << 20

// logName returns the file that the settings log to; empty: stderr.
func logName(s settings, cacheDir string) string {
	if f := s.text("log-file"); f != "" || s.on("foreground") {
		return f
	}
	return filepath.Join(cacheDir, "moorfs.log")
}

// openLog opens a log for appending. One that has grown too long becomes
// name.1, in place of an earlier one.
func openLog(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err == nil && info.Mode().IsRegular() && info.Size() > maxLog {
		err = os.Rename(name, name+".1")
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("log file: %w", err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return f, nil
}

func newLogger(out io.Writer, s settings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.text("log-level"))); err != nil {
		level = slog.LevelInfo
	}
	if s.on("debug-s3") || s.on("debug-fuse") {
		level = slog.LevelDebug
	}
	o := &slog.HandlerOptions{Level: level}
	if s.text("log-format") == "json" {
		return slog.New(slog.NewJSONHandler(out, o))
	}
	return slog.New(slog.NewTextHandler(out, o))
}
