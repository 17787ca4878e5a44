package posix

var writeSuite = suite{`
	root mk file f {04777 02777 06777 02767 06666 06711} {alice root} shared
	$user x=open f O_RDWR
	$user write x {"" data}
	$user stat f

	root mk file f 0666 alice alice
	root utimens f 1000 2000
	alice x=open f O_RDWR
	alice {read,x,4 write,x,data pwrite,x,data,100 lseek,x,0,SEEK_END pread,x,0,0 fsync,x}
	alice write x ""
	alice stat f

	root mk {dir link fifo} f 0666 alice alice
	root utimens f 1000 2000 AT_SYMLINK_NOFOLLOW
	alice x=open . O_RDONLY
	alice readlink f
	alice open f/g O_CREAT|O_RDWR 0600

	root mk file f 0666 alice alice
	alice x=open f O_RDWR
	alice pwrite x far {4096 65536 1000000}
	alice pwrite x far 9223372036854775807
	alice pwrite x far 17592186044415
	alice pread x 10 4090
	alice pread x 10 9223372036854775807
	alice lseek x {-1 5 9223372036854775807} {SEEK_SET SEEK_CUR SEEK_END 9}
	alice read x 5

	root mk file f 0666 alice alice
	alice x=open f O_RDWR
	alice write x <0123456789*1000>
	bob y=open f O_RDWR
	bob write y new
	alice pread x 12 0
	root truncate f 100
	alice write x end
	alice pread x 200 0
	alice sendfile x y 10
`}
var fallocateSuite = suite{`
	root mk file f {0666 06777} alice alice
	root utimens f 1000 2000
	$who x=open f {O_RDWR O_RDONLY O_RDWR|O_APPEND}
	$who fallocate x {0 KEEP_SIZE PUNCH_HOLE PUNCH_HOLE|KEEP_SIZE ZERO_RANGE ZERO_RANGE|KEEP_SIZE} {0 4 18 10000} {5 100}
	$who fstat x
	$who pread x 200 0

	root mk file f 0666 alice alice
	alice x=open f O_RDWR
	alice write x <0123456789abcdef*1024>
	alice fallocate x {COLLAPSE_RANGE INSERT_RANGE UNSHARE_RANGE 0x40 0x80 COLLAPSE_RANGE|KEEP_SIZE ZERO_RANGE|PUNCH_HOLE 3 5} {0 4096 100} 4096
	alice pread x 100 4090

	root mk {file fifo dir} f 0666 alice alice
	alice x=open f O_RDONLY|O_NONBLOCK
	alice y=open f O_RDWR|O_NONBLOCK
	alice fallocate x 0 0 5
	alice fallocate y 0 0 5
	alice fallocate y 0 {-1 0} {0 -1}
	alice fallocate y {0 KEEP_SIZE PUNCH_HOLE|KEEP_SIZE} 9223372036854775807 1
	alice fallocate y {0 PUNCH_HOLE|KEEP_SIZE} 17592186044416 1
`}
var lseekSuite = suite{`
	alice x=open f O_CREAT|O_RDWR 0644
	alice pwrite x <d*4096> 65536
	alice ftruncate x 200000
	alice pwrite x <d*5000> 131072
	alice fsync x
	alice lseek x {0 1 65535 65536 65537 69631 69632 131072 136071 140000 199999 200000 200001 -1} {SEEK_DATA SEEK_HOLE}
	alice read x 10

	alice x=open f O_CREAT|O_RDWR 0644
	alice write x <d*40960>
	alice fallocate x PUNCH_HOLE|KEEP_SIZE {4096 0} 8192
	alice fsync x
	alice lseek x {0 4096 5000 12288} {SEEK_DATA SEEK_HOLE}
	alice fallocate x 0 40960 8192
	alice lseek x 0 SEEK_END
	alice lseek x 100 {SEEK_DATA SEEK_HOLE}

	root mk $node f 0666 alice alice
	alice x=open f O_RDONLY|O_NONBLOCK
	alice lseek x 0 {SEEK_SET SEEK_CUR SEEK_DATA}
`}
var copySuite = suite{`
	root mk file f 0666 alice alice
	root mk file g {0666 06777} alice alice
	root utimens f 1000 2000
	root utimens g 1000 2000
	$who x=open f {O_RDONLY O_RDWR O_WRONLY}
	$who y=open g {O_WRONLY O_RDONLY O_RDWR|O_APPEND O_RDWR}
	$who copy x y {0 5 18 30} {0 3 100} {0 10 1000}

	root mk file f 0666 alice alice
	alice x=open f O_RDWR
	alice copy x x 0 {0 4 18 30} {4 5 18 100}
	alice copy x x {-1 9223372036854775807 0} {-1 9223372036854775807 0} 10
	alice copy x x 0 30 4 1

	root mk dir d 0777 alice alice
	root mk fifo p 0666 alice alice
	root mk file f 0666 alice alice
	alice x=open {d p} O_RDONLY|O_NONBLOCK
	alice y=open f O_RDWR
	alice copy x y 0 0 10
	alice copy y x 0 0 10
`}
