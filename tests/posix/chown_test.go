package posix

var chownSuite = suite{`
	root mk $kind f {0644 06755 06644 02755 04711} {root,root alice,alice alice,shared}
	$user lchown f {- root alice bob} {- alice shared extra}

	root mk link l 0777 root root
	root mk $node nowhere {0640 06755} alice alice
	$user chown l {- alice bob} {- shared}
	$user chown l {alice bob} shared AT_SYMLINK_NOFOLLOW

	root mk $node f 06755 alice alice
	alice x=open f {O_PATH O_RDONLY|O_NONBLOCK}
	alice fchown x {- bob} {- shared}
	alice chown x: - shared AT_EMPTY_PATH

	root mk dir d {0 0700 0711 0744 0777} alice alice
	root mk file d/f 0644 bob bob
	$user chown d/f - {bob extra}

	root mk file f 0644 alice alice
	alice chown {f/g nothing nothing/f <n*255> <n*256> <./*2047>f} - shared

	root symlink loop loop
	alice chown {loop loop/f} - shared

	root mk file f 06755 root root
	root chown f {- root alice 4294967294} {- root 4294967294}
	root fchown nofile alice alice

	root mk dir d {06777 02775 07777} alice shared
	$main chown d - {- alice shared}
`}
