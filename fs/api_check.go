package fs

import (
	gofuse "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// go-fuse calls what a node or handle happens to implement; a method with a
// wrong signature is silently never called. Here the compiler looks.
var (
	_ gofuse.NodeLookuper       = (*node)(nil)
	_ gofuse.NodeGetattrer      = (*node)(nil)
	_ gofuse.NodeStatxer        = (*node)(nil)
	_ gofuse.NodeSetattrer      = (*node)(nil)
	_ gofuse.NodeStatfser       = (*node)(nil)
	_ gofuse.NodeCreater        = (*node)(nil)
	_ gofuse.NodeTmpfiler       = (*node)(nil)
	_ gofuse.NodeMkdirer        = (*node)(nil)
	_ gofuse.NodeMknoder        = (*node)(nil)
	_ gofuse.NodeSymlinker      = (*node)(nil)
	_ gofuse.NodeLinker         = (*node)(nil)
	_ gofuse.NodeUnlinker       = (*node)(nil)
	_ gofuse.NodeRmdirer        = (*node)(nil)
	_ gofuse.NodeRenamer        = (*node)(nil)
	_ gofuse.NodeReadlinker     = (*node)(nil)
	_ gofuse.NodeOpener         = (*node)(nil)
	_ gofuse.NodeOpendirHandler = (*node)(nil)
	_ gofuse.NodeCopyFileRanger = (*node)(nil)
	_ gofuse.NodeGetxattrer     = (*node)(nil)
	_ gofuse.NodeListxattrer    = (*node)(nil)
	_ gofuse.NodeSetxattrer     = (*node)(nil)
	_ gofuse.NodeRemovexattrer  = (*node)(nil)
	_ gofuse.FileReader         = (*file)(nil)
	_ gofuse.FileWriter         = (*file)(nil)
	_ gofuse.FileFlusher        = (*file)(nil)
	_ gofuse.FileFsyncer        = (*file)(nil)
	_ gofuse.FileReleaser       = (*file)(nil)
	_ gofuse.FileAllocater      = (*file)(nil)
	_ gofuse.FileLseeker        = (*file)(nil)
	_ gofuse.FileFsyncdirer     = (*dir)(nil)
	_ fuse.RawFileSystem        = (*dirReader)(nil)
	_ fuse.RawFileSystem        = (*killPriv)(nil)
	_ fuse.RawFileSystem        = (*front)(nil)
	_ notifier                  = (*fuse.Server)(nil)
	_ cache.Kernel              = (*kernel)(nil)
	_ dirSource                 = (*cache.Cache)(nil)
)
