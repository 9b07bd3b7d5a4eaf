// SPDX-License-Identifier: Apache-2.0
// Registries give layers as gzip, and inflating them with zlib takes more than half as long as packing the
// whole image with all processors. ISA-L does it in a third of that. A layer may be several gzip files one
// after another (pigz and others write such); zeros behind the last are padding.
//
// One thread.
#pragma once

#include <memory>
#include <span>

#include "imagestore/squashfs/byte_source.h"

namespace slipway::squashfs {

class Gunzip : public ByteSource {
 public:
  // Does what begins with these bytes look like gzip?
  static bool Looks(std::span<const char> begin);
  // `begun` is the piece that `source` gave last.
  Gunzip(std::unique_ptr<Pieces> source, std::span<const char> begun);
  ~Gunzip() override;

  // Unpacked bytes; 0 at the end of the source. kInvalidArgument: it is damaged, or cut short.
  Result<std::size_t> Read(std::span<char> buffer) override;
  void Stop() override;

 private:
  struct State;
  Result<bool> Refill();  // false: the source has ended
  std::unique_ptr<State> state_;
};

}  // namespace slipway::squashfs
