package posix

var tmpfileSuite = suite{`
	$user umask {0 027}
	$user x=open . O_TMPFILE|{O_RDWR O_WRONLY O_RDWR|O_EXCL} {0666 0 04755}
	$user write x data
	$user fstat x
	$user pread x 10 0
	$user linkfd x f
	$user write x more
	$user fstat x
	$user linkfd x g
	$user close x
	$user stat f

	root mk dir d {0 0755 0777 02777} alice shared
	$user x=open d O_TMPFILE|O_RDWR 0640
	$user write x <data*2000>
	$user fchmod x 0600
	$user futimens x 1000 2000
	$user fsetxattr x user.a b
	$user linkempty x d/f
	$user close x
	$user truncate d/f 10

	root mk $kind f 0644 alice alice
	alice x=open f O_TMPFILE|O_RDWR 0600
	alice x=open {. nothing} O_TMPFILE|O_RDONLY 0600
	alice x=open nothing O_TMPFILE|O_RDWR 0600
	alice x=open . O_TMPFILE|O_RDWR 0600
	alice linkfd x f
	alice linkfd x {f/g nothing/f <n*256> <n*255>}

	alice x=open . O_TMPFILE|O_RDWR 0600
	alice y=open . O_TMPFILE|O_RDWR 0600
	alice pwrite y last 8192
	alice ftruncate x 100
	alice fallocate x 0 0 5000
	alice linkfd y g
	alice rename g f
	alice linkfd x g
	alice unlink f
	alice pread y 10 8190
`}
