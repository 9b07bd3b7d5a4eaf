// SPDX-License-Identifier: Apache-2.0
// slipway overlay create: an ext3 image whose folders (upper, work) an overlay needs and its user may write.
// mke2fs (e2fsprogs) makes the file system, of a tree that is laid out here first.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/images/subcommands.h"
#include "imagestore/sif/edit.h"

namespace slipway::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20, kSizeMin = 4 * kMiB, kSizeMax = std::uint64_t{64} << 40;

// `dir` as a path below the upper folder: "/opt/mine" is "opt/mine".
Result<std::string> Below(const std::string& dir) {
  std::string path;
  for (const std::string& part : Split(dir, '/')) {
    if (part == "..")
      return Fail(Code::kInvalidArgument, "--create-dir ", dir, ": '..' leads out of the image");
    if (!part.empty() && part != ".") path += Cat(path.empty() ? "" : "/", part);
  }
  if (path.empty()) return Fail(Code::kInvalidArgument, "--create-dir ", dir, ": name a folder");
  return path;
}

Result<> MakeFileSystem(const std::string& tree, const std::string& file, std::uint64_t bytes) {
  // It lies where ordinary users' PATH does not reach.
  auto made = RunAndCapture(
      {.argv = {::access("/sbin/mke2fs", X_OK) == 0 ? "/sbin/mke2fs" : "mke2fs", "-q", "-F", "-t", "ext3",
                "-m", "0", "-E", Cat("root_owner=", ::geteuid(), ":", ::getegid()), "-d", tree, file,
                Cat(bytes >> 10, "k")}});
  if (!made && made.error().sys_errno == ENOENT)
    return Fail(Code::kFailedPrecondition, "mke2fs is not here; it is in the package e2fsprogs");
  if (!made) return Failure(std::move(made).error());
  if (made->status.exit_code() != 0) return Fail(Code::kFailedPrecondition, "mke2fs could not make ", file);
  return {};
}

Result<> LayOut(const std::string& tree, const std::vector<std::string>& dirs) {
  for (const char* name : {"/upper", "/work"}) TRY(MakeDirectories(tree + name));
  for (const std::string& dir : dirs) TRY(MakeDirectories(Cat(tree, "/upper/", TRY(Below(dir)))));
  return {};
}

Result<> AddToSif(const std::string& sif_path, const std::string& image) {
  auto editor = TRY_CONTEXT(sif::Editor::Open(sif_path), sif_path);
  for (const sif::Descriptor& object : editor.image().descriptors) {
    if (object.type == sif::DataType::kPartition && object.part_type() == sif::PartType::kOverlay)
      return Fail(Code::kAlreadyExists, sif_path, ": has an overlay already, object ", object.id,
                  "; `slipway sif del` takes it out");
  }
  UniqueFd file = TRY(Open(image, O_RDONLY));
  sif::NewObject object;
  object.type = sif::DataType::kPartition;
  object.name = "overlay.img";
  object.extra = sif::PartitionExtra(sif::FsType::kExt3, sif::PartType::kOverlay, editor.image().header.arch);
  TRY_CONTEXT(editor.AddFrom(object, file.get()), sif_path);
  return {};
}

Result<int> Create(const Parsed& options) {
  const std::string& output = options.positionals()[0];
  std::uint64_t bytes = 64 * kMiB;
  if (options.Has("size")) bytes = TRY_CONTEXT(ParseBytes(options.Value("size"), kMiB), "--size");
  if (bytes < kSizeMin || bytes > kSizeMax)
    return Fail(Code::kInvalidArgument, "--size ", options.Value("size"), ": from 4 MiB to 64 TiB");
  bool into_sif = false;
  if (auto there = Open(output, O_RDONLY | O_NONBLOCK)) {
    into_sif = sif::LooksLikeSif(there->get());
    if (!into_sif) return Fail(Code::kAlreadyExists, output, " is there already, and is no SIF");
  }
  std::size_t slash = output.rfind('/');
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : output.substr(0, slash);
  std::string folder = TRY(MakeTempDirectory(parent, ".slipway-overlay-"));
  auto make = [&]() -> Result<> {
    TRY(LayOut(folder + "/tree", options.List("create-dir")));
    std::string image = folder + "/image";
    {
      UniqueFd file = TRY(Open(image, O_RDWR | O_CREAT | O_EXCL, 0644));
      int error = options.Has("sparse") || into_sif
                      ? (::ftruncate(file.get(), static_cast<off_t>(bytes)) < 0 ? errno : 0)
                      : ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
      if (error != 0) return Failure(ErrnoErrorOf(error, "room for", output));
    }
    TRY(MakeFileSystem(folder + "/tree", image, bytes));
    if (into_sif) return AddToSif(output, image);
    if (::link(image.c_str(), output.c_str()) < 0) return ErrnoFail("naming", output);
    return {};
  };
  auto made = make();
  (void)RemoveTree(folder);
  TRY(std::move(made));
  return 0;
}

}  // namespace

const Subcommand kOverlayCreate{{"overlay", "create"}, DeclareOverlayCreate, Create};

}  // namespace slipway::cli
