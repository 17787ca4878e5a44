package posix

var mknodSuite = suite{`
	$user umask {0 027}
	$user mknod f {file fifo sock chr blk dir link none bad} {0644 0777 06755} {0 0x103 0xfff00abc}
	$user stat f

	root mk dir p {0755 0777 02777} alice shared
	$user mknod p/f {file fifo sock} 0666

	root mk $kind f 0644 alice alice
	alice mknod f {file fifo} 0644
	alice mknod f/g {file fifo} 0644

	alice mknod {nothing/f <n*255> <n*256> <./*2046>ff <./*2047>ff . / "" f/} {file fifo} 0644

	root symlink loop loop
	root symlink nowhere l
	alice mknod {loop loop/f l l/f} fifo 0644

	root mk {chr blk} f 0666 root root
	$main x=open f O_RDWR|O_NONBLOCK
`}
var mkfifoSuite = suite{`
	$user umask {0 022 077}
	$user mkfifo f {0 0666 0777 06755 01777}

	root mk dir p {0 0755 0777 02777 03777} alice shared
	$user mkfifo p/f 0666
	$user unlink p/f

	root mk $kind f 0644 alice alice
	alice mkfifo {f f/g nothing/f <n*255> <n*256>} 0644

	alice mkfifo f 0666
	alice x=open f O_RDWR
	bob y=open f O_RDONLY|O_NONBLOCK
	alice write x data
	bob read y 10
	alice fstat x
	alice unlink f
	alice write x more
	bob read y 10

	alice mkfifo f 0666
	alice x=open f O_WRONLY|O_NONBLOCK
	alice chmod f 0600
	bob y=open f O_RDONLY|O_NONBLOCK
`}
