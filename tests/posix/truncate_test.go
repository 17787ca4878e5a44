package posix

var truncateSuite = suite{`
	root mk file f {0644 0600 0666 04666 06777 02767} {alice bob} shared
	root utimens f 1000 2000
	$user truncate f {0 5 18 19 100000 -1}
	$user stat f

	root mk $kind f 0666 alice alice
	alice truncate f 0
	alice truncate {f/g nothing nothing/f <n*255> <n*256> <./*2047>f "" .} 0

	root symlink loop loop
	root mk file f 0666 root root
	root symlink f l
	alice truncate {loop loop/f l} 3

	root mk file f 0666 alice alice
	alice x=open f {O_RDONLY O_WRONLY O_RDWR O_RDWR|O_APPEND O_PATH}
	root utimens f 1000 2000
	alice ftruncate x {0 5 18 100000 -1}
	alice write x more
	alice pread x 20 4

	root mk file f 06777 alice alice
	$user x=open f O_RDWR
	$user ftruncate x {5 18 30}
	$user fallocate x {0 KEEP_SIZE PUNCH_HOLE|KEEP_SIZE ZERO_RANGE} 2 5

	root mk file f 0666 alice alice
	alice truncate f 1099511627776
	alice stat f
	alice truncate f 9223372036854775807
	alice truncate f 3
	alice truncate f 8192
	alice x=open f O_RDONLY
	alice pread x 10 0
	alice pread x 4096 4096
`}
var utimensatSuite = suite{`
	root mk $kind f {0644 0666} {alice bob} shared
	root utimens f 1000.5 2000.000000001 AT_SYMLINK_NOFOLLOW
	$main utimens f {now omit 0 1.999999999} {now omit 0 1.999999999} AT_SYMLINK_NOFOLLOW

	root mk file f 0644 alice alice
	alice utimens f {-1 -1.000000001 -2147483648 4102444801 2147483648 5000000000.123456789 -5000000000 15032385535} 0
	alice stat f

	root mk file f 0644 alice alice
	alice utimens f {0.1000000000 0.-1 5.1073741824} 0
	alice utimens {f/g nothing nothing/f <n*256> "" <./*2048>f} 0 0

	root symlink loop loop
	root mk file f 0644 alice alice
	root symlink f l
	alice utimens {loop loop/f l} 1000 2000

	root mk dir p {0777 0700 0} root root
	root mk file p/f 0666 alice alice
	alice utimens p/f {now 1000} {now 2000}

	root mk file f {0666 0444} alice alice
	$main x=open f {O_RDONLY O_RDWR O_PATH}
	$main futimens x {now 1000 omit} {now 2000 omit}
	bob y=open f O_RDONLY
	bob futimens y {now 1000 omit} {now 2000 omit}
	$main write x data
`}
