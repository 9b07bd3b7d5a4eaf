// SPDX-License-Identifier: Apache-2.0
#include "cli/show/progress.h"

#include <unistd.h>

#include "base/os/fd.h"
#include "base/text/units.h"

namespace slipway::cli {

Progress::Progress(std::string what) : what_(std::move(what)), terminal_(::isatty(2) == 1) {}

Progress::~Progress() {
  if (shown_) [[maybe_unused]]
    auto written = WriteAll(2, "\r\033[K");
}

void Progress::Show(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  if (!shown_) bar_ = {.what = what_, .there = done_bytes, .began = now};
  bar_.done = done_bytes;
  bar_.total = total_bytes;
  shown_ = true;
  [[maybe_unused]] auto written = WriteAll(2, "\r\033[K" + BarText(bar_, now, ColumnsOf(2)));
}

void Progress::Say(const std::string& words) {
  if (terminal_) Line(words);
}

void Progress::Line(const std::string& text) {
  shown_ = true;
  [[maybe_unused]] auto written = WriteAll(2, Cat("\r\033[K", what_, ": ", text));
}

}  // namespace slipway::cli
