package posix

var chmodSuite = suite{`
	root mk $kind f 0640 {root,root alice,alice alice,shared bob,extra alice,extra}
	$user chmod f {0 0751 01755 02755 04755 06711 07777 02644 06666}
	$user stat f

	root mk link l 0777 root root
	root mk $node nowhere 0640 alice extra
	$user chmod l {0600 07777}
	$user lchmod l 0600

	root mk $node f 0640 alice extra
	alice x=open f {O_PATH O_RDONLY|O_NONBLOCK O_RDWR|O_NONBLOCK}
	alice fchmod x {0600 06755}
	bob fchmod x 0600

	root mk dir d {0 0700 0711 0744 0777} alice alice
	root mk file d/f 0644 bob bob
	$user chmod d/f 0600

	root mk file f 0644 alice alice
	alice chmod {f/g nothing nothing/f <n*255> <n*256> <./*2047>f <./*2048>f} 0600

	root symlink loop loop
	root symlink b a
	root symlink a b
	alice chmod {loop loop/f a a/b} 0600

	root mk file f 06777 alice alice
	root mk dir d 02777 root shared
	root chmod d 0777
	alice chmod d 0700
	root chmod f 0777
	alice utimens f 1000 2000
	alice chmod f 0777
`}
