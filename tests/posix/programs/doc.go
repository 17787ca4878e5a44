// Package programs runs what people run, on a mount: git, rsync, tar, cp and
// mv, editors, sqlite3, the Go compiler, zip, dd, a muxer's seek and patch, the
// rotation of logs, the delivery of mail, and Python's library.
//
// Each test has a site: a new bucket, a mount of it, and a directory on a local
// disk to compare with. Its programs are processes of their own; they find the
// mount at $M and the local directory at $L. Many tests run the same script in
// both and compare what it prints and what it leaves (site.both).
//
// Each test ends with a flush and a look into the bucket by a client that
// shares no code with moorfs (site.settle): the keys are those of the tree and
// no others, the bytes and the metadata are the same, and no multipart upload
// is under way. Some go on with a second mount whose cache is empty, where the
// tree has to be the same, attributes and all (site.elsewhere).
//
// Uploads begin a fraction of a second after each close, so that they run
// beside the programs; tests that count requests set a longer delay.
//
// go test -programs.scale N makes the trees and files N times as large;
// -programs.mount "--list-ttl 0 --attr-ttl 0" adds options to each mount, with
// which the results have to be the same; but TestSave and TestBackup count
// requests, of which --durability bucket makes more.
package programs
