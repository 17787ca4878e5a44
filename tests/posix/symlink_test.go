package posix

var symlinkSuite = suite{`
	$user umask {0 077}
	$user symlink {target <t*255> <t/*2047> /absolute/target . "a\nb\xff" " "} l
	$user lstat l
	$user readlink l
	$user readlink l {1 5 8192}

	alice symlink {"" <t/*2048> <t*4095> <t*4096>} l
	alice readlink l

	root mk dir p {0755 0777 02777 01777} alice shared
	$user symlink target p/l
	$user unlink p/l

	root mk $kind f 0644 alice alice
	alice symlink target f
	alice symlink target {f/g nothing/l <n*255> <n*256> . / "" l/}
	alice readlink f
	alice readlink {f/g nothing <n*256> "" .}

	root mk dir d 0755 root root
	root mk file d/f 0644 root root
	root symlink ../d d/up
	root symlink d ld
	alice stat {ld ld/f d/up/f ld/up/up/f ld/up/f/g}
	alice readlink ld
	alice lchown ld alice alice
	root lchown ld alice alice
	alice utimens ld 1000 2000 AT_SYMLINK_NOFOLLOW
	alice stat ld/f
	alice lstat ld

	root symlink 0 l0
	root symlink l0 l1
	root symlink l1 l2
	root symlink loop loop
	alice stat {l2 loop}
	alice access {l2 loop} 4
	alice mkdir 0 0755
	alice stat l2
`}
