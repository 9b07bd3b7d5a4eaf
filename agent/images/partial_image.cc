// SPDX-License-Identifier: Apache-2.0
#include "agent/images/partial_image.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

namespace slipway {

Result<std::shared_ptr<PartialImage>> PartialImage::Open(const std::string& path,
                                                         store::ChunkManifest manifest) {
  std::shared_ptr<PartialImage> image(new PartialImage(path, std::move(manifest)));
  image->writer_ = TRY(slipway::Open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  image->reader_ = std::make_shared<UniqueFd>(TRY(ReopenReadOnly(image->writer_.get())));
  image->here_.resize(image->chunks());
  TRY(image->Reserve());
  TRY(image->FindWhatIsThere());
  return image;
}

Result<> PartialImage::Reserve() {
  struct stat info;
  if (::fstat(writer_.get(), &info) < 0) return ErrnoFail("fstat", path_);
  auto size = static_cast<off_t>(manifest_.size);
  // Of another size: not what we left here.
  if (info.st_size != size && (::ftruncate(writer_.get(), 0) < 0 || ::ftruncate(writer_.get(), size) < 0))
    return ErrnoFail("ftruncate", path_);
  // Where blocks cannot be reserved the write says that there are none.
  if (::fallocate(writer_.get(), 0, 0, size) == 0 || errno == EOPNOTSUPP) return {};
  if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) return ErrnoFail("fallocate", path_);
  ::unlink(path_.c_str());
  return Fail(Code::kResourceExhausted, "no room for ", manifest_.size, " bytes in ",
              path_.substr(0, path_.rfind('/')));
}

Result<> PartialImage::FindWhatIsThere() {
  std::string bytes;
  for (std::uint32_t chunk = 0; chunk < chunks(); ++chunk) {
    std::uint64_t start = std::uint64_t{chunk} * manifest_.chunk_bytes;
    // Blocks that were reserved and never written are holes.
    off_t data = ::lseek(writer_.get(), static_cast<off_t>(start), SEEK_DATA);
    if (data < 0) break;
    if (static_cast<std::uint64_t>(data) >= start + BytesOf(chunk)) continue;
    bytes.resize(static_cast<std::size_t>(BytesOf(chunk)));
    TRY_CONTEXT(ReadExactlyAt(writer_.get(), std::as_writable_bytes(std::span(bytes)), start), path_);
    if (!store::VerifyChunk(manifest_, chunk, bytes)) continue;
    here_[chunk] = true;
    ++count_;
  }
  return {};
}

std::uint64_t PartialImage::BytesOf(std::uint32_t chunk) const {
  return std::min(manifest_.chunk_bytes, manifest_.size - std::uint64_t{chunk} * manifest_.chunk_bytes);
}

Result<> PartialImage::Put(std::uint32_t chunk, std::string_view bytes) {
  TRY(store::VerifyChunk(manifest_, chunk, bytes));
  std::uint64_t start = std::uint64_t{chunk} * manifest_.chunk_bytes;
  std::size_t written = 0;
  while (written < bytes.size()) {
    ssize_t n = ::pwrite(writer_.get(), bytes.data() + written, bytes.size() - written,
                         static_cast<off_t>(start + written));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("writing the image", path_);
    written += static_cast<std::size_t>(n);
  }
  std::lock_guard lock(mutex_);
  if (!here_[chunk]) ++count_;
  here_[chunk] = true;
  return {};
}

bool PartialImage::Has(std::uint32_t first, std::uint32_t count) const {
  std::lock_guard lock(mutex_);
  if (first >= here_.size() || count > here_.size() - first) return false;
  return std::all_of(here_.begin() + first, here_.begin() + first + count, [](bool here) { return here; });
}

std::string PartialImage::Bits() const {
  std::lock_guard lock(mutex_);
  std::string bits((here_.size() + 7) / 8, '\0');
  for (std::size_t i = 0; i < here_.size(); ++i)
    if (here_[i]) bits[i / 8] = static_cast<char>(bits[i / 8] | 1 << (i % 8));
  return bits;
}

bool PartialImage::Whole() const {
  std::lock_guard lock(mutex_);
  return count_ == here_.size();
}

void PartialImage::Seal() {
  std::lock_guard lock(mutex_);
  writer_.reset();
}

}  // namespace slipway
