package posix

var accessSuite = suite{`
	root mk $kind f {0 0755 0421 0142 0214 0666} {root alice} {root shared}
	$user access f {0 1 2 3 4 5 6 7 8}

	root mk dir d {0 0755 0711 0744} alice shared
	root mk file d/f 0644 alice alice
	$user access {d/f d/g d} {0 2 4} {0 AT_EACCESS AT_SYMLINK_NOFOLLOW}

	root symlink loop loop
	root mk file f 0640 alice alice
	root symlink f l
	alice access {loop loop/f l f/g nothing/f <n*256> ""} {0 4} {0 AT_SYMLINK_NOFOLLOW}
`}
var statSuite = suite{`
	root mk $kind f 0640 alice shared
	bob stat f
	bob lstat f
	bob x=open f O_PATH|O_NOFOLLOW
	bob fstat x
	bob stat x: AT_EMPTY_PATH
	bob stat {f/g nothing nothing/f <n*255> <n*256> <./*2047>f <./*2048>f "" .. / f/ f/.}

	root mk dir d {0 0711 0744} alice alice
	root mk file d/f 0644 alice alice
	{bob root} stat d/{f g ..}

	bob statfs .
`}
