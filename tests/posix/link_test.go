package posix

var linkSuite = suite{`
	root mk {file fifo sock chr link} f 0644 alice alice
	$main link f g

	root mk $kind f 0644 alice alice
	root mk $kind g 0644 alice alice
	$user link f g

	root mk dir d 0777 root root
	root mk file f 0644 alice alice
	root mk file d/g 0600 bob bob
	root mk dir closed 0700 root root
	alice link {f d nothing nothing/f f/g <n*256> d/g} {g d d/h nothing/g f/g <n*256> <./*2048>g closed/g d/g}

	root symlink loop loop
	alice link {loop loop/f} {loop loop/g new}
	alice link loop new AT_SYMLINK_FOLLOW
`}
