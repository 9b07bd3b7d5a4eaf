// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/image_upload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/script/image_reference.h"
#include "cli/show/progress.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/pack.h"
#include "slipway/v1/image.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr std::size_t kChunkBytes = 1 << 20;

PathKind Look(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) < 0) return PathKind::kNone;
  return S_ISDIR(info.st_mode) ? PathKind::kDirectory : PathKind::kFile;
}

std::string BaseName(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

// An unnamed file: nothing is left behind however we end.
Result<UniqueFd> TemporaryFile() {
  const char* parent = ::getenv("TMPDIR");
  std::string folder = parent != nullptr && parent[0] == '/' ? parent : "/var/tmp";
  return Open(folder, O_TMPFILE | O_RDWR, 0600);
}

Result<UniqueFd> Pack(const std::string& path) {
  UniqueFd directory = TRY(Open(path, O_RDONLY | O_DIRECTORY));
  UniqueFd out = TRY(TemporaryFile());
  Progress progress(Cat("packing ", BaseName(path)));
  squashfs::PackOptions options;
  options.progress = [&](const squashfs::Progress& now) -> Result<> {
    progress.Show(now.bytes, now.bytes_total);
    return {};
  };
  TRY_CONTEXT(squashfs::PackDirectory(directory.get(), out.get(), options), Cat("packing ", path));
  return out;
}

Result<v1::UploadReply> Send(Cluster& cluster, int fd, const std::string& note, const std::string& digest,
                             std::uint64_t bytes, ImportHow how) {
  auto stub = v1::Images::NewStub(cluster.channel());
  grpc::ClientContext call;
  TRY(cluster.Authorize(call));
  v1::UploadReply reply;
  auto writer = stub->Upload(&call, &reply);
  Progress progress(Cat("uploading ", note));
  std::string buffer(kChunkBytes, '\0');
  std::uint64_t at = 0;
  do {
    ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (n < 0) {
      call.TryCancel();
      return ErrnoFail("read", note);
    }
    if (n == 0 && at < bytes) break;  // it shrank: the controller says that the digest is wrong
    v1::UploadChunk chunk;
    if (at == 0) {
      chunk.set_source_digest(digest);
      chunk.set_source_bytes(bytes);
      chunk.set_note(note);
      chunk.set_again(how == ImportHow::kAgain);
      chunk.set_as_is(how == ImportHow::kAsIs);
    }
    chunk.set_data(buffer.data(), static_cast<std::size_t>(n));
    if (!writer->Write(chunk)) break;  // Finish says why
    at += static_cast<std::uint64_t>(n);
    progress.Show(at, bytes);
  } while (at < bytes);
  writer->WritesDone();
  progress.Say("importing");
  TRY(cluster.Of(writer->Finish()));
  return reply;
}

}  // namespace

Result<v1::UploadReply> UploadImage(Cluster& cluster, const std::string& path, ImportHow how) {
  std::string note = BaseName(path);
  PathKind kind = Look(path);
  if (kind == PathKind::kNone) return Fail(Code::kNotFound, path, ": no such file or directory");
  UniqueFd file = kind == PathKind::kDirectory ? TRY(Pack(path)) : TRY(Open(path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (::fstat(file.get(), &info) < 0) return ErrnoFail("fstat", path);
  if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalidArgument, path, ": is no regular file");
  // What is no image at all is said here, before a gigabyte has travelled.
  bool is_sif = sif::LooksLikeSif(file.get());
  if (how == ImportHow::kAsIs && !is_sif)
    return Fail(Code::kInvalidArgument, path, ": --as-is needs a SIF, which a key of the site has signed");
  if (is_sif) {
    auto image = TRY_CONTEXT(sif::Read(file.get()), path);
    TRY_CONTEXT(sif::PrimarySystemPartition(image, file.get()), path);
  } else {
    char magic[4] = {};
    if (::pread(file.get(), magic, sizeof magic, 0) != 4 || std::string_view(magic, 4) != "hsqs") {
      return Fail(Code::kInvalidArgument, path, ": is neither a SIF nor a squashfs; see `slipway build`");
    }
  }
  v1::FindImageRequest find;
  find.set_source_digest(TRY(DigestOfFile(file.get())));
  if (how == ImportHow::kOnce) {
    auto found = cluster.Call<v1::Images>(&v1::Images::Stub::Find, find);
    if (found) return found;
    if (found.error().code != Code::kNotFound) return Failure(std::move(found).error());
  }
  return TRY_CONTEXT(
      Send(cluster, file.get(), note, find.source_digest(), static_cast<std::uint64_t>(info.st_size), how),
      path);
}

Result<std::string> ImageReference(Cluster& cluster, const std::string& image) {
  switch (KindOfImage(image, Look)) {
    case ImageKind::kName:
      return image;
    case ImageKind::kMissingPath:
      return Fail(Code::kNotFound, "image ", image, ": no such file or directory");
    case ImageKind::kFile:
    case ImageKind::kDirectory:
      break;
  }
  return TRY(UploadImage(cluster, image)).digest();
}

}  // namespace slipway::cli
