// SPDX-License-Identifier: Apache-2.0
// MPICH, Intel MPI and many old binaries speak PMI-1 or PMI-2 to whoever started them: lines of "cmd=put
// key=a value=b", or (PMI-2, after a first line) a length in six characters and "cmd=kvs-put;key=a;value=b;".
// What comes in is a rank's, so a user's: the reader is bounded and never trusts a length.
//
// Facts: MPICH's src/pmi/maint/pmi-1.2.txt, pmi-2.0.txt and doc/wiki/design/PMI_v2_Wire_Protocol.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"

namespace slipway {

enum class PmiVersion { k1 = 1, k2 = 2 };

inline constexpr std::size_t kPmiRequestBytesMax = 64 << 10;  // MPICH's own bound of a PMI-2 command
inline constexpr std::size_t kPmiPairsMax = 4096;

// One command and what came with it, in order; names may repeat (a spawn of several programs).
struct PmiRequest {
  std::string command;
  std::vector<std::pair<std::string, std::string>> pairs;
  const std::string* Find(std::string_view name) const;  // the first of that name
  std::string Get(std::string_view name) const;          // empty when there is none
};

// One rank's stream. Starts as PMI-1, as every client does.
class PmiReader {
 public:
  // An error: the rank does not speak the protocol and cannot be understood any more.
  Result<> Feed(std::string_view bytes);
  Result<std::optional<PmiRequest>> Next();
  void Speak(PmiVersion version) { version_ = version; }

 private:
  Result<std::optional<PmiRequest>> NextLine();
  Result<std::optional<PmiRequest>> NextFramed();

  PmiVersion version_ = PmiVersion::k1;
  std::string bytes_;
};

// Builds an answer: PmiReply(version, "put_result").Add("rc", 0).Take().
class PmiReply {
 public:
  PmiReply(PmiVersion version, std::string_view command);
  PmiReply& Add(std::string_view name, std::string_view value);
  PmiReply& Add(std::string_view name, std::int64_t value) { return Add(name, std::to_string(value)); }
  std::string Take();

 private:
  const PmiVersion version_;
  std::string text_;
};

}  // namespace slipway
