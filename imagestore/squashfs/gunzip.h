// SPDX-License-Identifier: Apache-2.0
// Registries give layers as gzip, and inflating them with zlib takes more than half as long as packing the
// whole image with all processors. ISA-L does it in a third of that. A layer may be several gzip files one
// after another (pigz and others write such); zeros behind the last are padding.
//
// One thread.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result/result.h"

namespace slipway::squashfs {

class ByteSource;

class Gunzip {
 public:
  // Does what begins with these bytes look like gzip?
  static bool Looks(std::span<const char> begin);
  // `source` is borrowed; `begun` is what has been read of it already.
  Gunzip(ByteSource& source, std::string begun);
  ~Gunzip();

  // Unpacked bytes; 0 at the end. kInvalidArgument: it is damaged, or cut short.
  Result<std::size_t> Read(std::span<char> buffer);

 private:
  struct State;
  Result<bool> Refill();  // false: the source has ended
  std::unique_ptr<State> state_;
};

}  // namespace slipway::squashfs
