package posix

var lockSuite = suite{`
	root mk file f 0666 root root
	alice x=open f O_RDWR
	bob y=open f {O_RDWR O_RDONLY}
	alice flock x {LOCK_SH LOCK_EX}
	bob flock y {LOCK_SH LOCK_EX}
	alice flock x {LOCK_UN LOCK_SH LOCK_EX}
	bob flock y LOCK_EX
	alice close x
	bob flock y LOCK_EX

	root mk file f 0666 root root
	alice x=open f {O_RDWR O_RDONLY O_WRONLY}
	bob y=open f O_RDWR
	alice {lock oflock} x {F_RDLCK F_WRLCK} 0 {0 10}
	bob getlock y {F_RDLCK F_WRLCK} 5 10
	bob {lock oflock} y {F_RDLCK F_WRLCK} {5 10} 10
	alice z=open f O_RDONLY
	alice close z
	bob lock y F_WRLCK 0 1
	bob getlock y F_WRLCK 0 0
	alice lock x F_UNLCK 0 0

	root mk file f 0666 root root
	alice x=open f O_RDWR
	alice z=dup x
	alice flock x LOCK_EX
	alice close x
	bob y=open f O_RDWR
	bob flock y LOCK_EX
	alice unlink f
	alice close z
	bob flock y LOCK_EX
`}
var limitsSuite = suite{`
	alice mkdir d 0755
	alice mkdir d/<n*255> 0755
	alice mkdir d/<n*255>/<m*255> 0755
	alice open d/<n*255>/<m*255>/<f*200> O_CREAT|O_RDWR 0644
	alice stat d/<n*255>/<m*255>/<f*200>
	alice rename d/<n*255>/<m*255>/<f*200> d/f

	alice mkdir d 0755
	alice open {"\x01" "\x7f" "\xff" " " "a " " a" "a\nb" "a\tb" "\\" "%" "%41" "a%2fb" "*?[]" "\xc3\xa9" "e\xcc\x81" "..." "-" "~" "#" "&<>" "\"" "'" "%=" "a:b"} O_CREAT|O_RDWR 0644

	root deep {d dd <d*100> <d*250>} 5
	root open f O_CREAT|O_RDWR 0644
	root stat .
	root rmdir ..
	root stat ../../..
`}
