package posix

var renameSuite = suite{`
	root mk $kind a 0644 alice alice
	root mk $kind b 0640 bob bob
	root utimens a 1000 2000 AT_SYMLINK_NOFOLLOW
	alice rename a b {0 RENAME_NOREPLACE RENAME_EXCHANGE RENAME_WHITEOUT 3 8}

	root mk $kind a 0644 alice alice
	$main rename a b {0 RENAME_NOREPLACE RENAME_EXCHANGE RENAME_WHITEOUT RENAME_WHITEOUT|RENAME_NOREPLACE RENAME_WHITEOUT|RENAME_EXCHANGE}

	root mk dir s {0777 01777 01755 0755} {root alice} root
	root mk dir t {0777 01777 0755} {root alice} root
	root mk {file dir} s/a 0644 {alice bob} alice
	root mk {file dir} t/b 0644 {alice bob} alice
	$main rename s/a t/{b c} {0 RENAME_EXCHANGE}

	root mk dir s 0777 root root
	root mk dir t 0777 root root
	root mk dir s/a {0555 0755 0700} {alice bob} alice
	alice rename s/a t/a

	root mk dir d 0755 alice alice
	root mk dir d/e 0755 alice alice
	root mk file d/e/f 0644 alice alice
	root mk dir g 0755 alice alice
	root mk file h 0644 alice alice
	alice rename {d d/e d/e/f g h nothing d/.} {d d/e d/e/f d/e/x d/x g g/x h h/x nothing/x x x/ . .. d/e/.. <n*255> <n*256>} {0 RENAME_EXCHANGE}

	root symlink loop loop
	root symlink d l
	root mk dir d 0777 alice alice
	root mk file f 0644 alice alice
	alice rename {loop loop/f l l/ f} {loop loop/f l l/ l/f f}

	root mk file a 0644 alice alice
	root mk file b 0644 alice alice
	alice x=open a O_RDWR
	alice y=open b O_RDWR
	alice rename a b {0 RENAME_EXCHANGE}
	alice pwrite x new 2
	alice fsync x
	alice pwrite y old 3
	alice fstat y
	alice fstat x
	alice close x
	alice open b O_RDONLY
	alice unlink b

	root mk dir d 0777 alice alice
	root mk dir d/e 0777 alice alice
	alice x=open d/e/f O_CREAT|O_RDWR 0644
	alice y=open d/e O_RDONLY|O_DIRECTORY
	alice rename d g
	alice write x data
	alice mkdir y:sub 0755
	alice rename g/e h
	alice write x more
	alice rename y:f y:sub/f
	alice mkdir d 0755
	alice rename h d
	alice fstat x
	alice rename h d/e
	alice stat d/e/sub/f

	root mk dir a 0777 alice alice
	root mk file a/f 0644 alice alice
	root mk dir b 0777 alice alice
	root mk dir c 0777 alice alice
	alice rename a b
	alice rename b c
	root mk file c/g 0644 root root
	alice mkdir a 0777
	alice rename a c
	alice rename c a
	alice rename a a/f
	alice rename a a

	root mk dir a 0777 alice alice
	root mk file a/f 0644 alice alice
	root mk $kind b 0644 alice alice
	root mk dir p 0777 alice alice
	alice rename a p/a
	alice rename p/a b RENAME_EXCHANGE
	alice rename b p/c RENAME_NOREPLACE

	root mk file a {06755 04711} alice alice
	alice setxattr a user.x y
	alice utimens a 1000 2000
	alice rename a b
	alice rename b c RENAME_NOREPLACE

	alice symlink <x/*2047> l
	alice rename l m
	alice mkfifo p 0600
	alice rename p m
	alice readlink m

	root mk file a 0644 alice alice
	alice rename a "\x01 \xff {% %41 %=%f}"
	alice rename "\x01 \xff {% %41 %=%f}" a
`}
