package posix

var rmdirSuite = suite{`
	root mk dir p {0777 01777 0755 0 03777} {root alice} root
	root mk dir p/d {0777 0} {alice bob} alice
	$user rmdir p/d

	root mk $kind f 0644 alice alice
	alice rmdir f
	alice rmdir f/
	alice rmdir f/g

	root mk dir d 0777 alice alice
	root mk $kind d/f 0644 alice alice
	$main rmdir d
	$main unlink d
	$main unlink d/f
	$main rmdir d/f
	$main rmdir d

	root mk dir d 0777 alice alice
	root mk dir d/e 0777 alice alice
	alice rmdir {. .. / d/. d/e/.. d/e/. nothing nothing/d <n*255> <n*256> <./*2046>dd <./*2047>dd "" d/e d/e/ d//e}

	root symlink loop loop
	root mk dir d 0777 alice alice
	root symlink d l
	alice rmdir {loop loop/d l l/}

	root mk dir d 0777 alice alice
	alice x=open d O_RDONLY|O_DIRECTORY
	alice rmdir d
	alice fstat x
	alice open x:f O_CREAT|O_RDWR 0600
	alice symlink a x:l
	alice mkfifo x:f 0600
	alice rename x:a x:b
	alice fchmod x 0700
	alice futimens x 1000 2000
	alice fsync x
	alice stat x:.
	alice stat x:..
	alice close x
`}
var unlinkSuite = suite{`
	root mk dir p {0777 01777 0755 0 03777} {root alice} root
	root mk {file fifo link} p/f {0777 0} {alice bob} alice
	$user unlink p/f

	root mk $kind f 0644 alice alice
	$main unlink f
	$main lstat f
	$main unlink f

	alice unlink {. .. / nothing nothing/f <n*255> <n*256> <./*2046>ff <./*2047>ff ""}

	root mk $kind f 0644 alice alice
	alice unlink f/g
	alice unlink f/

	root symlink loop loop
	root mk file f 0644 root root
	root symlink f l
	alice unlink {loop/f l loop l/}
	alice stat f

	root mk $node f 0666 alice alice
	root utimens f 1000 2000
	alice x=open f O_RDWR|O_NONBLOCK
	alice unlink f
	alice fstat x
	alice open f O_CREAT|O_EXCL|O_RDWR 0600
	alice fstat x
	alice fchmod x 0640
	alice fstat x
	alice fchown x - shared
	alice fstat x
`}
