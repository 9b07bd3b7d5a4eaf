// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/blob_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

namespace slipway::store {

namespace {

constexpr std::string_view kPrefix = "sha256-", kTemporary = ".incoming-";

// "sha256:ab…" ⇄ "sha256-ab…": a colon in a file name hurts in PATH-like lists and on other systems.
std::string FileNameOf(std::string_view digest) { return Cat(kPrefix, digest.substr(digest.find(':') + 1)); }
std::string DigestOfName(std::string_view name) { return Cat("sha256:", name.substr(kPrefix.size())); }

Result<std::string> CheckedName(std::string_view digest) {
  if (!IsDigest(digest)) return Fail(Code::kInvalidArgument, "not a digest: \"", digest.substr(0, 80), "\"");
  return FileNameOf(digest);
}

Result<std::vector<std::string>> Names(int dir_fd) {
  UniqueFd copy = TRY(OpenAt(dir_fd, ".", O_RDONLY | O_DIRECTORY));
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  std::unique_ptr<DIR, Close> dir(::fdopendir(copy.get()));
  if (!dir) return ErrnoFail("fdopendir");
  [[maybe_unused]] int owned_by_dir = copy.release();
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(dir.get())) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Result<ChunkManifest> MakeChunkManifest(int fd) {
  ChunkManifest manifest;
  struct stat info;
  if (::fstat(fd, &info) < 0) return ErrnoFail("fstat");
  manifest.size = static_cast<std::uint64_t>(info.st_size);
  std::string chunk;
  for (std::uint64_t offset = 0; offset < manifest.size; offset += kChunkBytes) {
    chunk.resize(static_cast<std::size_t>(std::min(kChunkBytes, manifest.size - offset)));
    TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(chunk)), offset));
    manifest.digests.push_back(DigestOf(chunk));
  }
  return manifest;
}

Result<> VerifyChunk(const ChunkManifest& manifest, std::size_t index, std::string_view bytes) {
  if (index >= manifest.digests.size())
    return Fail(Code::kOutOfRange, "there is no chunk ", index, " of ", manifest.digests.size());
  std::uint64_t offset = index * manifest.chunk_bytes;
  std::uint64_t wanted = std::min(manifest.chunk_bytes, manifest.size - std::min(offset, manifest.size));
  if (bytes.size() != wanted)
    return Fail(Code::kDataLoss, "chunk ", index, " has ", bytes.size(), " bytes instead of ", wanted);
  if (DigestOf(bytes) != manifest.digests[index])
    return Fail(Code::kDataLoss, "chunk ", index, " is damaged: its digest differs");
  return {};
}

struct Writer::State {
  std::shared_ptr<UniqueFd> dir;
  UniqueFd fd;
  std::string temporary;
  std::optional<Sha256> hash{std::in_place};
  std::uint64_t written = 0;
  bool finished = false;
  bool lent = false;  // somebody else may write it, too: only the file knows its bytes then

  ~State() {
    if (!finished) ::unlinkat(dir->get(), temporary.c_str(), 0);
  }
};

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

int Writer::fd() const {
  state_->lent = true;
  return state_->fd.get();
}

Result<> Writer::Write(std::string_view bytes) {
  TRY_CONTEXT(WriteAll(state_->fd.get(), bytes), "storing a blob");
  state_->hash->Update(bytes);
  state_->written += bytes.size();
  return {};
}

Result<Blob> Writer::Finish(std::string_view expected_digest) {
  State& s = *state_;
  if (s.finished) return Fail(Code::kFailedPrecondition, "this blob is finished already");
  struct stat info;
  if (::fstat(s.fd.get(), &info) < 0) return ErrnoFail("fstat", "a blob");
  auto size = static_cast<std::uint64_t>(info.st_size);
  std::string digest = s.hash->Finish();
  s.hash.emplace();
  if (s.lent || size != s.written) digest = TRY(DigestOfFile(s.fd.get()));
  if (!expected_digest.empty() && digest != expected_digest) {
    return Fail(Code::kDataLoss, "the bytes that came are ", digest, ", not ", expected_digest);
  }
  if (::fchmod(s.fd.get(), 0444) < 0) return ErrnoFail("fchmod", "a blob");
  if (::fsync(s.fd.get()) < 0) return ErrnoFail("fsync", "a blob");
  if (::renameat(s.dir->get(), s.temporary.c_str(), s.dir->get(), FileNameOf(digest).c_str()) < 0)
    return ErrnoFail("rename", "a blob");
  s.finished = true;
  if (::fsync(s.dir->get()) < 0) return ErrnoFail("fsync", "the blob store's directory");
  return Blob{digest, size};
}

Result<BlobStore> BlobStore::Open(const std::string& directory) {
  TRY(MakeDirectories(directory));
  auto dir = std::make_shared<UniqueFd>(TRY(slipway::Open(directory, O_RDONLY | O_DIRECTORY)));
  for (const std::string& name : TRY(Names(dir->get()))) {
    if (name.starts_with(kTemporary) && ::unlinkat(dir->get(), name.c_str(), 0) < 0)
      return ErrnoFail("unlink", name);
  }
  return BlobStore(directory, std::move(dir));
}

Result<Writer> BlobStore::NewBlob() const {
  auto state = std::make_unique<Writer::State>();
  state->dir = dir_;
  state->temporary = Cat(kTemporary, Hex(RandomBytes(12)));
  state->fd = TRY_CONTEXT(OpenAt(dir_->get(), state->temporary, O_RDWR | O_CREAT | O_EXCL, 0600), directory_);
  return Writer(std::move(state));
}

bool BlobStore::Has(std::string_view digest) const {
  return IsDigest(digest) && ::faccessat(dir_->get(), FileNameOf(digest).c_str(), F_OK, 0) == 0;
}

Result<UniqueFd> BlobStore::OpenForReading(std::string_view digest) const {
  std::string name = TRY(CheckedName(digest));
  auto fd = OpenAt(dir_->get(), name, O_RDONLY | O_NOFOLLOW);
  if (!fd && fd.error().code == Code::kNotFound)
    return Fail(Code::kNotFound, "the store has no image ", digest);
  return fd;
}

Result<std::vector<Blob>> BlobStore::List() const {
  std::vector<Blob> blobs;
  for (const std::string& name : TRY(Names(dir_->get()))) {
    struct stat info;
    if (!name.starts_with(kPrefix) || !IsDigest(DigestOfName(name))) continue;
    if (::fstatat(dir_->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) continue;  // removed meanwhile
    blobs.push_back({DigestOfName(name), static_cast<std::uint64_t>(info.st_size),
                     info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1'000'000});
  }
  return blobs;
}

Result<> BlobStore::Remove(std::string_view digest) const {
  std::string name = TRY(CheckedName(digest));
  if (::unlinkat(dir_->get(), name.c_str(), 0) == 0) return {};
  if (errno == ENOENT) return Fail(Code::kNotFound, "the store has no image ", digest);
  return ErrnoFail("remove", name);
}

Result<std::string> BlobStore::Retire(std::string_view digest) const {
  std::string name = TRY(CheckedName(digest)), retired = Cat(kTemporary, "gone-", Hex(RandomBytes(12)));
  if (::renameat(dir_->get(), name.c_str(), dir_->get(), retired.c_str()) == 0) return retired;
  if (errno == ENOENT) return Fail(Code::kNotFound, "the store has no image ", digest);
  return ErrnoFail("rename", name);
}

Result<> BlobStore::Discard(const std::string& retired) const {
  if (!retired.starts_with(kTemporary) || retired.find('/') != std::string::npos)
    return Fail(Code::kInvalidArgument, "not a retired blob: ", retired.substr(0, 80));
  if (::unlinkat(dir_->get(), retired.c_str(), 0) < 0 && errno != ENOENT) return ErrnoFail("remove", retired);
  return {};
}

}  // namespace slipway::store
