// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/growing.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace slipway::oci {

namespace {

constexpr std::uint64_t kFailed = std::uint64_t{1} << 62;  // more than any file has bytes

class GrowingSource : public squashfs::ByteSource {
 public:
  GrowingSource(int fd, std::uint64_t size, std::shared_ptr<Growth> growth)
      : fd_(fd), size_(size), growth_(std::move(growth)) {}
  Result<std::size_t> Read(std::span<char> buffer) override {
    if (at_ == size_) return std::size_t{0};
    std::uint64_t there = std::min(size_, TRY(growth_->Await(at_)));
    auto part = squashfs::FilePart(fd_, at_, there - at_);
    std::size_t n = TRY(part->Read(buffer));
    at_ += n;
    return n;
  }
  void Stop() override { growth_->Stop(); }

 private:
  int fd_;
  std::uint64_t size_, at_ = 0;
  std::shared_ptr<Growth> growth_;
};

}  // namespace

Result<std::shared_ptr<Growth>> Growth::Make() {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC));
  if (!event) return ErrnoFail("eventfd");
  return std::shared_ptr<Growth>(new Growth(std::move(event)));
}

void Growth::Add(std::uint64_t number) {
  while (::write(event_.get(), &number, sizeof number) < 0 && errno == EINTR) continue;
}

void Growth::Tell(std::uint64_t bytes) {
  if (restarted_) return;
  if (bytes < told_) {
    restarted_ = true;
    return Fail();
  }
  if (bytes > told_) Add(bytes - told_);
  told_ = bytes;
}

void Growth::Fail() { Add(kFailed); }

// Once: the event holds no more than three such numbers, and a write of the fourth would wait.
void Growth::Stop() {
  if (!stopped_.exchange(true)) Fail();
}

Result<std::uint64_t> Growth::Await(std::uint64_t at) {
  while (!broken_ && seen_ <= at) {
    std::uint64_t more = 0;
    ssize_t n = ::read(event_.get(), &more, sizeof more);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("eventfd");
    broken_ = more >= kFailed;
    seen_ += more;
  }
  if (broken_) return slipway::Fail(Code::kUnavailable, "the layer did not come");
  return seen_;
}

std::unique_ptr<squashfs::ByteSource> GrowingFile(int fd, std::uint64_t size,
                                                  std::shared_ptr<Growth> growth) {
  return std::make_unique<GrowingSource>(fd, size, std::move(growth));
}

}  // namespace slipway::oci
