package posix

var openSuite = suite{`
	root mk $kind f {0644 0} {alice root} shared
	$who x=open f {O_RDONLY O_WRONLY O_RDWR}|O_NONBLOCK|{0 O_CREAT O_CREAT|O_EXCL O_TRUNC O_APPEND O_DIRECTORY O_NOFOLLOW O_PATH O_CREAT|O_DIRECTORY} 0640

	$main umask {0 027}
	$main x=open f O_CREAT|O_EXCL|{O_RDONLY O_WRONLY O_RDWR} {0 0400 0666 04777 06755 01644}
	$main write x data
	$main fstat x
	$main chmod f 0
	$main read x 10

	root mk dir p {0777 02777 02755 0755 0711} alice shared
	$user x=open p/f O_CREAT|O_RDWR {0666 02777}
	$user write x data
	$user close x

	root mk file f {04777 02777 06777 02767 06666} alice {alice shared}
	$user x=open f {O_RDONLY|O_TRUNC O_WRONLY O_WRONLY|O_TRUNC O_RDWR|O_APPEND}
	$user write x data
	$user close x

	alice open {nothing nothing/f "" . .. / <n*255> <n*256> <./*2047>f <./*2048>f f/} {O_RDONLY O_RDWR O_CREAT|O_RDWR O_CREAT|O_EXCL|O_WRONLY O_CREAT|O_DIRECTORY O_PATH O_DIRECTORY} 0644

	root symlink loop loop
	root symlink nowhere l
	root symlink d ld
	root mk dir d 0777 root root
	root mk file d/f 0666 root root
	root symlink d/f lf
	alice x=open {loop loop/f l ld lf ld/f ld/g} {O_RDONLY O_RDWR|O_CREAT O_RDWR|O_CREAT|O_EXCL O_RDONLY|O_NOFOLLOW O_PATH|O_NOFOLLOW O_RDONLY|O_DIRECTORY O_RDONLY|O_DIRECTORY|O_NOFOLLOW O_WRONLY|O_TRUNC|O_NOFOLLOW} 0644

	root mk file f 0666 root root
	root utimens f 1000 2000
	$main x=open f {O_RDONLY O_WRONLY O_RDONLY|O_TRUNC O_WRONLY|O_TRUNC O_WRONLY|O_APPEND O_RDONLY|O_CREAT}
	$main read x 4
	$main write x data
	$main close x

	root mk file f 0666 alice root
	$user x=open f O_RDONLY|O_NOATIME
	alice utimens f 1000 2000
	$user read x 4
`, `
	root mk file f 0666 root root
	alice x=open f O_WRONLY|O_APPEND
	bob y=open f O_WRONLY|O_APPEND
	alice write x aaaa
	bob write y bb
	alice write x cccccc
	bob pwrite y dd 0
	root truncate f 5
	alice write x e

	root mk file f 0666 root root
	alice x=open f {O_RDWR O_RDWR|O_APPEND}
	alice setfl x {O_APPEND 0}
	alice pwrite x xx 2
	alice write x yy
	alice lseek x 0 SEEK_CUR
	alice setfl x {O_APPEND 0}
	alice write x zz
	alice pwrite x xx 4

	root mk file f 0666 alice alice
	alice x=open f {O_RDONLY O_WRONLY O_RDWR O_PATH}
	alice getfl x
	alice write x data
	alice read x 4
	alice pread x 4 100
	alice pread x 4 -1
	alice pwrite x d -1
	alice ftruncate x 3
	alice fsync x
	alice fchmod x 0600
	alice futimens x 1000 now
	alice fstat x

	alice x=open f O_CREAT|O_EXCL|O_RDWR|O_DIRECT 0644
	alice write x <data*1024>
	alice pread x 4096 0
	alice pwrite x <z*512> 512
	alice pread x 4096 4096
	alice fstat x
	alice ftruncate x 1000
	alice pread x 4096 0

	alice x=open f O_CREAT|O_EXCL|{O_RDWR|O_SYNC O_RDWR|O_DSYNC} 0644
	alice write x data
	alice fsync x
	alice fdatasync x
	alice syncfs x
	bob y=open f O_RDONLY
	bob read y 10

	root mk dir d 0777 alice alice
	alice x=open d {O_RDONLY O_RDONLY|O_DIRECTORY O_PATH}
	alice fsync x
	alice fdatasync x
	alice y=open x:f O_CREAT|O_RDWR 0600
	alice write x data
	alice read x 10
	alice lseek x 0 SEEK_SET
	alice mkdir x:d 0700
	alice ftruncate x 0
	alice fchmod x 0700
	bob open x:f O_RDONLY

	root mk file f 0644 alice alice
	alice x=open f O_RDONLY
	root chmod f 0
	alice read x 7
	alice open f O_RDONLY
	root open f O_RDWR
	root chown f bob bob
	alice read x 7
	alice unlink f
	alice read x 7
	alice fstat x
	alice chmod x: 0600
	alice fchmod x 0600

	alice x=open f O_CREAT|O_RDWR|O_EXCL 0600
	alice write x data
	{alice,unlink,f alice,rename,g,f}
	alice write x more
	alice pread x 20 0
	alice fstat x
	alice ftruncate x 2
	alice futimens x 1000 2000
	alice fchmod x 0640
	alice fsetxattr x user.a b
	alice fgetxattr x user.a
	alice fallocate x 0 0 10
	alice pread x 20 0
	alice fsync x
	alice fstat x
	alice close x
`}
