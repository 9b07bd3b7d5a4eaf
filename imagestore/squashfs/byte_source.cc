// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/byte_source.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "imagestore/squashfs/ahead.h"

namespace slipway::squashfs {

namespace {

constexpr std::size_t kPieceBytes = 256 << 10, kPiecesAhead = 8;

class FilePartSource : public ByteSource {
 public:
  FilePartSource(int fd, std::uint64_t offset, std::uint64_t size)
      : fd_(fd), at_(offset), end_(offset + size) {}
  Result<std::size_t> Read(std::span<char> buffer) override {
    std::size_t wanted = std::min<std::uint64_t>(buffer.size(), end_ - at_);
    if (wanted == 0) return std::size_t{0};
    for (;;) {
      ssize_t n = ::pread(fd_, buffer.data(), wanted, static_cast<off_t>(at_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoFail("read");
      at_ += static_cast<std::uint64_t>(n);
      return static_cast<std::size_t>(n);
    }
  }
  std::uint64_t Skip(std::uint64_t bytes) override {
    bytes = std::min(bytes, end_ - at_);
    at_ += bytes;
    return bytes;
  }

 private:
  int fd_;
  std::uint64_t at_, end_;
};

class PiecesHere : public Pieces {
 public:
  explicit PiecesHere(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), buffer_(kPieceBytes) {}
  Result<std::span<const char>> Next() override {
    std::size_t n = TRY(source_->Read(buffer_));
    return std::span<const char>(buffer_.data(), n);
  }
  std::uint64_t Skip(std::uint64_t bytes) override { return source_->Skip(bytes); }
  void Stop() override { source_->Stop(); }

 private:
  std::unique_ptr<ByteSource> source_;
  std::vector<char> buffer_;
};

class PiecesOfAThread : public Pieces {
 public:
  static Result<std::unique_ptr<Pieces>> Start(std::unique_ptr<ByteSource> source) {
    std::unique_ptr<PiecesOfAThread> pieces(new PiecesOfAThread(std::move(source)));
    auto work = [source = pieces->source_.get()](Reading::Giver& giver) { return Run(*source, giver); };
    pieces->ahead_ = TRY(Reading::Start(kPiecesAhead, work));
    return std::unique_ptr<Pieces>(std::move(pieces));
  }
  ~PiecesOfAThread() override { source_->Stop(); }
  Result<std::span<const char>> Next() override {
    const Piece* piece = TRY(ahead_->Take());
    if (piece == nullptr) return std::span<const char>();
    return std::span<const char>(piece->bytes.data(), piece->size);
  }
  void Stop() override { source_->Stop(); }

 private:
  struct Piece {
    std::vector<char> bytes;
    std::size_t size = 0;
  };
  using Reading = Ahead<Piece>;
  explicit PiecesOfAThread(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}
  static Result<> Run(ByteSource& source, Reading::Giver& giver) {
    for (;;) {
      Piece& piece = giver.batch();
      piece.bytes.resize(kPieceBytes);
      piece.size = TRY(source.Read(piece.bytes));
      if (piece.size == 0) return {};
      TRY(giver.Give());
    }
  }

  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<Reading> ahead_;  // last: its thread uses the source
};

}  // namespace

std::unique_ptr<ByteSource> FilePart(int fd, std::uint64_t offset, std::uint64_t size) {
  return std::make_unique<FilePartSource>(fd, offset, size);
}

std::unique_ptr<Pieces> PiecesOf(std::unique_ptr<ByteSource> source) {
  return std::make_unique<PiecesHere>(std::move(source));
}

Result<std::unique_ptr<Pieces>> PiecesAhead(std::unique_ptr<ByteSource> source) {
  return PiecesOfAThread::Start(std::move(source));
}

}  // namespace slipway::squashfs
