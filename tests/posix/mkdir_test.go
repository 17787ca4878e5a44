package posix

var mkdirSuite = suite{`
	$user umask {0 022 077 0777}
	$user mkdir d {0 0777 0755 0700 01777 02777 04755}

	root mk dir p {0777 02777 01777 03775} {root alice} shared
	$user mkdir p/d {0755 0777 02755}
	$user mkdir p/d/e 0777
	$user x=open p/f O_CREAT|O_EXCL|O_RDWR 0666

	root mk dir p {0 0755 0777 0733 0744 0711} alice shared
	$user mkdir p/d 0777
	$user rmdir p/d

	root mk $kind f 0644 alice alice
	alice mkdir f 0755
	alice mkdir f/g 0755
	alice mkdir f/ 0755

	alice mkdir {nothing/d <n*255> <n*256> <./*2046>dd <./*2047>dd . .. / d/ d/. "" d/../d} 0755
	alice mkdir d 0755

	root symlink loop loop
	root symlink nowhere l
	root symlink new ln/
	alice mkdir {loop loop/d l l/ l/d} 0755
	alice mkdir nowhere 0755

	alice mkdir d 0755
	alice x=open d O_RDONLY|O_DIRECTORY
	alice rmdir d
	alice mkdir x:e 0755
	alice fstat x
	alice mkdir d 0755
	alice mkdir x:e 0755

	alice mkdir d 0777
	alice mkdir d/a 0777
	alice mkdir d/b 0777
	alice stat d
	alice rename d/a a
	alice stat d
	alice rename a d/c
	alice rmdir d/b
	alice stat d

	alice mkdir "{a\nb \xff\xfe \x01 %=%f % a%2fb %%}" 0755
	alice mkdir "{a b}\\c\"'" 0755
`}
