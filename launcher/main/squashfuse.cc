// SPDX-License-Identifier: Apache-2.0
// slipway-squashfuse: serves the squashfs in a user's own file, with his rights, through a FUSE connection
// that is mounted already. libsquashfuse does the work; the program that Debian has of it (squashfuse_ll,
// which is taken where this one is missing) keeps one unpacked block of data, so that two readers of one
// library unpack it again and again, is dynamically linked, and lets an overlay ask for extended attributes
// that the image does not have. Decision 43.
//
//   slipway-squashfuse OFFSET FILE /dev/fd/N
//     N: the connection. Ends with it; exit 1 and a line on stderr when the file is no squashfs that it can
//     read.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" {
#include <squashfuse/ll.h>
}

namespace {

// Of unpacked data, whatever the image's block size (4 KiB to 1 MiB).
constexpr std::size_t kDataBytes = 8 << 20, kFragmentBytes = 2 << 20, kMetadataBlocks = 64;

bool Enlarge(sqfs_cache& cache, std::size_t blocks) {
  sqfs_cache_destroy(&cache);
  return sqfs_block_cache_init(&cache, blocks) == SQFS_OK;
}

bool EnlargeCaches(sqfs& fs) {
  std::size_t block = std::max<std::size_t>(fs.sb.block_size, 4096);
  return Enlarge(fs.data_cache, std::max<std::size_t>(kDataBytes / block, 4)) &&
         Enlarge(fs.frag_cache, std::max<std::size_t>(kFragmentBytes / block, 3)) &&
         Enlarge(fs.md_cache, kMetadataBlocks);
}

fuse_lowlevel_ops Operations(const sqfs& fs) {
  fuse_lowlevel_ops ops{};
  ops.lookup = sqfs_ll_op_lookup;
  ops.forget = sqfs_ll_op_forget;
  ops.getattr = sqfs_ll_op_getattr;
  ops.readlink = sqfs_ll_op_readlink;
  ops.open = sqfs_ll_op_open;
  ops.read = sqfs_ll_op_read;
  ops.release = sqfs_ll_op_release;
  ops.opendir = sqfs_ll_op_opendir;
  ops.readdir = sqfs_ll_op_readdir;
  ops.releasedir = sqfs_ll_op_releasedir;
  ops.create = sqfs_ll_op_create;
  ops.statfs = stfs_ll_op_statfs;
  // Without them the kernel is told once that there are none, and does not ask again.
  constexpr std::uint64_t kNoTable = ~std::uint64_t{0};
  if (fs.sb.xattr_id_table_start != kNoTable) {
    ops.listxattr = sqfs_ll_op_listxattr;
    ops.getxattr = sqfs_ll_op_getxattr;
  }
  return ops;
}

int Serve(std::uint64_t offset, const char* file, const char* connection) {
  sqfs_ll* image = sqfs_ll_open(file, offset);
  if (image == nullptr) return 1;  // it has said why
  if (!EnlargeCaches(image->fs)) {
    std::fputs("no memory\n", stderr);
    return 1;
  }
  fuse_lowlevel_ops ops = Operations(image->fs);
  char name[] = "squashfuse";
  char* words[] = {name, nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(1, words);
  fuse_session* session = fuse_session_new(&arguments, &ops, sizeof ops, image);
  if (session == nullptr || fuse_session_mount(session, connection) != 0) return 1;
  return fuse_session_loop(session) == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  char* end = nullptr;
  std::uint64_t offset = argc == 4 ? std::strtoull(argv[1], &end, 10) : 0;
  if (argc != 4 || end == argv[1] || *end != 0) {
    std::fputs("slipway-squashfuse: started by slipway, not by hand\n", stderr);
    return 2;
  }
  return Serve(offset, argv[2], argv[3]);
}
