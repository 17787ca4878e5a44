module github.com/moorfs/moorfs/tests

go 1.26.0

replace github.com/moorfs/moorfs => ../

require (
	github.com/moorfs/moorfs v0.0.0-00010101000000-000000000000
	github.com/rogpeppe/go-internal v1.16.0
)

require (
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
