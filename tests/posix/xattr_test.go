package posix

var xattrSuite = suite{`
	root mk $kind f {0644 0666 0} alice alice
	$user lsetxattr f user.a value
	$user lgetxattr f user.a
	$user lgetxattr f user.b
	$user lremovexattr f user.a
	$user lremovexattr f user.a

	root mk {file dir} f 0644 alice alice
	root mk link nowhere 0777 root root
	alice setxattr f user.a {"" value <v*1000>} {0 XATTR_CREATE XATTR_REPLACE 3 4}
	alice setxattr f user.a other {0 XATTR_CREATE XATTR_REPLACE}
	alice setxattr f user.b "\x00\xff\n" XATTR_CREATE
	alice listxattr f
	alice getxattr f user.a {0 1 5 10000}
	alice getxattr f user.b
	alice removexattr f user.a
	alice listxattr f

	root mk file f 0644 alice alice
	alice setxattr f {user. user user.<n*250> user.<n*251> <n*256> "" system.a trusted.a security.a other.a "user.\xff A%"} value
	alice getxattr f {user. user user.<n*250> user.<n*251> <n*256> "" system.a trusted.a security.a other.a "user.\xff A%"}
	alice removexattr f {user. user user.<n*250> user.<n*251> <n*256> "" system.a trusted.a security.a other.a "user.\xff A%"}

	root mk file f 0644 alice alice
	alice setxattr f user.a <v*{65536 65537}>
	alice setxattr {f/g nothing nothing/f <n*256>} user.a b
	alice listxattr {f/g nothing nothing/f <n*256>}

	root mk file f 0644 alice alice
	alice utimens f 1000 2000
	alice x=open f {O_RDONLY O_RDWR}
	alice fsetxattr x user.a b
	alice fgetxattr x user.a
	bob y=open f O_RDONLY
	bob fsetxattr y user.a c
	bob fgetxattr y user.a
	alice rename f g
	alice fgetxattr x user.a
	alice fremovexattr x user.a
	alice unlink g
	alice fsetxattr x user.a b
	alice fgetxattr x user.a

	root mk dir d 01777 root root
	bob setxattr d user.a b
	root mk dir e 01777 alice root
	bob setxattr e user.a b
	bob getxattr e user.a

	root symlink loop loop
	root mk file f 0644 alice alice
	root symlink f l
	alice setxattr {loop l} user.a b
	alice getxattr f user.a
`}
