package main

// The groups of the options, in the order in which they are shown.
const (
	where     = "where"
	writes    = "writes"
	local     = "cache"
	freshness = "freshness"
	speed     = "speed"
	files     = "files"
	running   = "running"
)

// mountOptions holds every option of a mount.
var mountOptions = []option{
	{name: "endpoint-url", group: where, help: "S3 server; without it AWS, or AWS_ENDPOINT_URL_S3, or the profile's"},
	{name: "region", group: where, help: "region of the bucket; found out if not given"},
	{name: "profile", group: where, help: "profile of ~/.aws to take credentials from"},
	{name: "role-arn", group: where, help: "role to assume"},
	{name: "external-id", group: where, help: "external id for the role"},
	{name: "no-sign-request", kind: yesno, def: "false", bare: "true", group: where, help: "public bucket: send no credentials"},
	{name: "path-style", kind: toggle, def: "auto", bare: "on", group: where, help: "bucket in the path of the URL, not in the host name; auto: where needed"},
	{name: "use-accelerate", kind: yesno, def: "false", bare: "true", group: where, help: "S3 Transfer Acceleration"},
	{name: "use-dualstack", kind: yesno, def: "false", bare: "true", group: where, help: "IPv4 and IPv6 endpoint"},
	{name: "use-fips", kind: yesno, def: "false", bare: "true", group: where, help: "FIPS endpoint"},
	{name: "ca-bundle", kind: path, group: where, help: "certificates to trust, PEM"},
	{name: "request-payer", kind: choice, choices: []string{"requester"}, bare: "requester", group: where, help: "we pay for requests to a requester-pays bucket"},
	{name: "expected-bucket-owner", group: where, help: "account that must own the bucket"},
	{name: "config-file", kind: path, group: where, help: "in place of ~/.aws/config"},
	{name: "credentials-file", kind: path, group: where, help: "in place of ~/.aws/credentials"},

	{name: "sse", kind: choice, choices: []string{"AES256", "aws:kms", "aws:kms:dsse"}, bare: "AES256", group: writes, help: "server-side encryption of everything written; without a value AES256"},
	{name: "sse-kms-key-id", group: writes, help: "KMS key: id, ARN or alias"},
	{name: "sse-kms-context", group: writes, help: "KMS encryption context, a JSON object of strings"},
	{name: "bucket-key", kind: toggle, def: "auto", bare: "on", group: writes, help: "S3 bucket key for KMS; auto: as the bucket says"},
	{name: "sse-c-key-file", kind: paths, group: writes, help: "file (mode 0600) with a customer key, 32 bytes raw or base64; repeatable: the first writes, all read"},
	{name: "acl", kind: choice, group: writes, help: "canned ACL of everything written, as bucket-owner-full-control",
		choices: []string{"private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"}},
	{name: "storage-class", group: writes, help: "storage class of new objects, as STANDARD_IA"},
	{name: "checksum-algorithm", kind: choice, def: "CRC64NVME", choices: []string{"CRC64NVME", "CRC32C", "off"}, group: writes, help: "checksum sent with uploads"},

	{name: "cache-dir", kind: path, group: local, help: "where copies and unsent work live; default /var/lib/moorfs/ID, for a user ~/.local/share/moorfs/ID"},
	{name: "cache-size", kind: size, group: local, help: "evict copies beyond this; default 20 GiB or half the free space"},
	{name: "cache-min-free", kind: size, group: local, help: "leave this much of the disk free, at least 192 MiB; default 1 GiB or 5 %"},
	{name: "write-back", kind: duration, def: "2s", group: local, help: "upload this long after the last close (at most 30s after the first)"},
	{name: "durability", kind: choice, def: "local", choices: []string{"local", "bucket"}, group: local, help: "what fsync and close wait for"},

	{name: "attr-ttl", kind: duration, def: "5s", group: freshness, help: "trust what is known of a file for this long"},
	{name: "list-ttl", kind: duration, def: "30s", group: freshness, help: "trust a listing for this long"},
	{name: "negative-ttl", kind: duration, def: "5s", group: freshness, help: "trust that a file is absent for this long"},
	{name: "attrs", kind: choice, def: "auto", choices: []string{"auto", "exact", "list"}, group: freshness, help: "exact: one HEAD per object for mode, owner and times; list: none; auto is exact"},

	{name: "poll", kind: interval, def: "30s", group: freshness,
		help: "list directories that are in use again in the background, at most this often and not before list-ttl; a LIST request each, up to eight times more rarely where nothing changes"},
	{name: "events", group: freshness,
		help: "be told what others change: http:HOST:PORT takes S3 notifications, as MinIO's webhook and EventBridge send them; sqs:URL reads them from a queue that this mount alone reads"},
	{name: "events-secret-file", kind: path, group: freshness,
		help: "file (mode 0600) with the secret that senders to http:HOST:PORT must know (Authorization: Bearer, or X-Moorfs-Secret); or MOORFS_EVENTS_SECRET; without one only loopback addresses are listened on"},

	{name: "on-conflict", kind: choice, def: "keep-both", choices: []string{"keep-both", "mine", "theirs"}, group: freshness,
		help: "whose content has the name when others changed what was changed here; the other's stays beside it, goes, or waits in the cache (moorfs conflicts)"},
	{name: "exclusive-create", kind: choice, def: "local", choices: []string{"local", "bucket"}, group: freshness,
		help: "who decides when two machines make the same file (O_EXCL) or directory; bucket: one of them gets EEXIST, at the price of a request"},

	{name: "max-uploads", kind: count, def: "16", group: speed, help: "uploads at a time"},
	{name: "max-downloads", kind: count, def: "16", group: speed, help: "downloads at a time"},
	{name: "part-size", kind: size, def: "16MiB", group: speed, help: "part of a multipart upload, at least 5MiB"},
	{name: "read-timeout", kind: duration, def: "30s", group: speed, help: "a read, lookup or listing that the bucket does not answer ends with an error after so long, at least 1s"},
	{name: "read-ahead", kind: size, def: "32MiB", group: speed, help: "fetch this far ahead of a sequential reader"},

	{name: "uid", kind: count, group: files, help: "owner of objects without metadata; default the mounting user"},
	{name: "gid", kind: count, group: files, help: "group of objects without metadata; default the mounting user's"},
	{name: "file-mode", kind: octal, def: "0644", group: files, help: "mode of objects without metadata"},
	{name: "dir-mode", kind: octal, def: "0755", group: files, help: "mode of prefixes without metadata"},
	{name: "umask", kind: octal, def: "0", group: files, help: "bits to take away from file-mode and dir-mode"},
	{name: "allow-other", kind: yesno, def: "false", bare: "true", group: files, help: "other users may use the mount"},
	{name: "allow-root", kind: yesno, def: "false", bare: "true", group: files, help: "root may use the mount"},
	{name: "read-only", kind: yesno, def: "false", bare: "true", group: files, help: "nothing may be changed"},
	{name: "xattrs", kind: toggle, def: "on", bare: "on", group: files, help: "extended attributes"},

	{name: "foreground", kind: yesno, def: "false", bare: "true", group: running, help: "stay in front (-f), log to stderr"},
	{name: "log-level", kind: choice, def: "info", choices: []string{"debug", "info", "warn", "error"}, group: running, help: "what to log"},
	{name: "log-format", kind: choice, def: "text", choices: []string{"text", "json"}, group: running, help: "how to log"},
	{name: "log-file", kind: path, group: running, help: "where to log; default CACHE-DIR/moorfs.log, in front stderr"},
	{name: "http", group: running, help: "serve /metrics, /healthz and /status on PORT or HOST:PORT; without a host on loopback"},
	{name: "stuck-after", kind: duration, def: "1m", group: running, help: "report requests that take longer, with their stack"},
	{name: "debug-fuse", kind: yesno, def: "false", bare: "true", group: running, help: "log every request of the kernel"},
	{name: "debug-s3", kind: yesno, def: "false", bare: "true", group: running, help: "log every request to S3, secrets redacted"},
}
