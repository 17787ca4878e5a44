package posix

var chmodSuite = suite{`
	root mk $kind f 0640 {root alice bob} {root alice shared}
	$user chmod f $bits
	$user stat f

	root mk link l 0777 root root
	root mk $node nowhere 0640 alice extra
	$user chmod l $bits
`}
