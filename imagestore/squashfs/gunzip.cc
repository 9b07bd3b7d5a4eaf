// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/gunzip.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>

namespace slipway::squashfs {
namespace {

Failure Damaged(const char* how) { return Fail(Code::kInvalidArgument, "the gzip data is ", how); }

}  // namespace

struct Gunzip::State {
  std::unique_ptr<Pieces> source;
  inflate_state inflate;
  bool within = true;  // a gzip file that has not ended
};

bool Gunzip::Looks(std::span<const char> begin) {
  return begin.size() >= 2 && begin[0] == '\x1f' && begin[1] == '\x8b';
}

namespace {

// ISA-L takes what it only reads without const.
void Feed(inflate_state& inflate, std::span<const char> bytes) {
  inflate.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
  inflate.avail_in = static_cast<std::uint32_t>(bytes.size());
}

}  // namespace

Gunzip::Gunzip(std::unique_ptr<Pieces> source, std::span<const char> begun)
    : state_(new State{.source = std::move(source)}) {
  isal_inflate_init(&state_->inflate);
  state_->inflate.crc_flag = ISAL_GZIP;
  Feed(state_->inflate, begun);
}
Gunzip::~Gunzip() = default;
void Gunzip::Stop() { state_->source->Stop(); }

Result<bool> Gunzip::Refill() {
  auto piece = TRY(state_->source->Next());
  Feed(state_->inflate, piece);
  return !piece.empty();
}

Result<std::size_t> Gunzip::Read(std::span<char> buffer) {
  State& s = *state_;
  inflate_state& z = s.inflate;
  z.next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
  z.avail_out = static_cast<std::uint32_t>(std::min<std::size_t>(buffer.size(), 1U << 30));
  const std::uint32_t room = z.avail_out;
  while (z.avail_out == room) {
    if (!s.within) {  // between two gzip files, or at the end
      while (z.avail_in > 0 && *z.next_in == 0) ++z.next_in, --z.avail_in;
      if (z.avail_in == 0) {
        if (TRY(Refill())) continue;
        return std::size_t{0};
      }
      isal_inflate_reset(&z);
      z.crc_flag = ISAL_GZIP;
      s.within = true;
    }
    bool ended = z.avail_in == 0 && !TRY(Refill());
    int code = isal_inflate(&z);
    if (code == ISAL_INCORRECT_CHECKSUM) return Damaged("damaged (its checksum differs)");
    if (code < 0) return Damaged("damaged");
    if (z.block_state == ISAL_BLOCK_FINISH)
      s.within = false;
    else if (ended && z.avail_out == room)
      return Damaged("cut short");
  }
  return static_cast<std::size_t>(room - z.avail_out);
}

}  // namespace slipway::squashfs
