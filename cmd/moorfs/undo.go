package main

import "errors"

// When a step is undone.
type undoWhen int

const (
	always    undoWhen = iota
	onFailure          // only if the mount did not come about
)

// An undoStack takes back, in reverse order, what was done.
type undoStack struct {
	steps []undoStep
}

type undoStep struct {
	when undoWhen
	undo func() error
}

func (u *undoStack) push(when undoWhen, undo func() error) {
	u.steps = append(u.steps, undoStep{when, undo})
}

// run undoes every step once; failed says how it came to this. A step that
// fails does not keep the others from being taken.
func (u *undoStack) run(failed bool) error {
	var errs []error
	for i := len(u.steps) - 1; i >= 0; i-- {
		if s := u.steps[i]; failed || s.when == always {
			errs = append(errs, s.undo())
		}
	}
	u.steps = nil
	return errors.Join(errs...)
}
