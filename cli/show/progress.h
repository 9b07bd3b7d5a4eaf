// SPDX-License-Identifier: Apache-2.0
// How far something is (a bar, bytes, rate, what is left), on one line of the terminal that is gone
// afterwards. Says nothing where stderr is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/show/bars.h"

namespace slipway::cli {

class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  void Show(std::uint64_t done_bytes, std::uint64_t total_bytes);  // as often as one likes
  void Say(const std::string& words);

 private:
  void Line(const std::string& text);
  std::string what_;
  Bar bar_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace slipway::cli
