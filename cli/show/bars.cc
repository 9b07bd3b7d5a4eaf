// SPDX-License-Identifier: Apache-2.0
#include "cli/show/bars.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/os/fd.h"
#include "base/text/units.h"

namespace slipway::cli {
namespace {

constexpr std::chrono::milliseconds kBetweenFrames{100};
constexpr std::size_t kBarsShown = 8;
constexpr unsigned kBarWidth = 24, kColumns = 80;

double Seconds(Bar::Time from, Bar::Time to) { return std::chrono::duration<double>(to - from).count(); }

std::string Duration(double seconds) {
  auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 60) return Cat(whole, " s");
  return whole < 3600 ? Cat(whole / 60, " min ", whole % 60, " s")
                      : Cat(whole / 3600, " h ", whole / 60 % 60, " min");
}

// Bytes a second since it began; 0 while nobody can tell.
double RateOf(const Bar& bar, Bar::Time now) {
  double seconds = Seconds(bar.began, now);
  return seconds < 0.05 || bar.done <= bar.there ? 0 : static_cast<double>(bar.done - bar.there) / seconds;
}

std::string Drawn(std::uint64_t done, std::uint64_t total) {
  auto full = static_cast<std::size_t>(static_cast<double>(std::min(done, total)) /
                                       static_cast<double>(total) * kBarWidth);
  std::string bar(full, '=');
  if (full < kBarWidth) bar += '>';
  bar.resize(kBarWidth, ' ');
  return Cat("[", bar, "]");
}

}  // namespace

unsigned ColumnsOf(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kColumns;
}

std::string BarText(const Bar& bar, Bar::Time now, unsigned columns) {
  double rate = RateOf(bar, now);
  std::string text = bar.what;
  if (bar.total != 0) {
    auto percent = static_cast<std::uint64_t>(static_cast<double>(std::min(bar.done, bar.total)) /
                                              static_cast<double>(bar.total) * 100);
    text += Cat("  ", Drawn(bar.done, bar.total), "  ", percent, " %  ", FormatBytes(bar.done), " of ",
                FormatBytes(bar.total));
  } else {
    text += Cat("  ", FormatBytes(bar.done), "  ", Duration(Seconds(bar.began, now)));
  }
  if (rate > 0) text += Cat("  ", FormatBytes(static_cast<std::uint64_t>(rate)), "/s");
  if (rate > 0 && bar.total > bar.done)
    text += Cat("  ", Duration(static_cast<double>(bar.total - bar.done) / rate + 0.99), " left");
  // A line that the terminal breaks could not be taken back.
  if (columns > 0 && text.size() >= columns) text.resize(columns - 1);
  return text;
}

Bars::Screen Bars::Stderr() { return {.fd = STDERR_FILENO, .terminal = ::isatty(STDERR_FILENO) == 1}; }

std::vector<Bar>::iterator Bars::Find(const std::string& what) {
  return std::find_if(bars_.begin(), bars_.end(), [&](const Bar& bar) { return bar.what == what; });
}

void Bars::Show(const std::string& what, std::uint64_t done, std::uint64_t total, Bar::Time now) {
  if (finished_.contains(what)) return;  // a layer that an image has twice
  auto bar = Find(what);
  if (bar == bars_.end()) {
    bars_.push_back({.what = what, .there = done, .began = now});
    bar = bars_.end() - 1;
    if (total == 0 && !screen_.terminal) Say(what);
  }
  bar->done = done;
  bar->total = total;
  if (total != 0 && done >= total) return Finish(bar, now);
  if (now - last_ >= kBetweenFrames) Draw({}, now);
}

void Bars::Done(const std::string& what, Bar::Time now) {
  if (auto bar = Find(what); bar != bars_.end()) Finish(bar, now);
}

void Bars::Finish(std::vector<Bar>::iterator bar, Bar::Time now) {
  std::string line =
      Cat(bar->what, ": ", FormatBytes(bar->done),
          bar->there == bar->done && bar->total != 0 ? std::string(", here already")
                                                     : Cat(" in ", Duration(Seconds(bar->began, now))));
  finished_.insert(bar->what);
  bars_.erase(bar);
  Draw(line + "\n", now);
}

void Bars::Say(std::string_view line) { Draw(Cat(line, "\n"), std::chrono::steady_clock::now()); }

void Bars::Clear() {
  bars_.clear();
  if (drawn_ > 0) Draw({}, last_);
}

// One write a frame, so that nothing of it is seen half.
void Bars::Draw(std::string_view above, Bar::Time now) {
  std::string frame;
  if (drawn_ > 0) frame = Cat("\033[", drawn_, "A\r\033[J");
  frame += above;
  drawn_ = 0;
  if (screen_.terminal) {
    unsigned columns = screen_.columns != 0 ? screen_.columns : ColumnsOf(screen_.fd);
    for (; drawn_ < std::min(bars_.size(), kBarsShown); ++drawn_)
      frame += BarText(bars_[drawn_], now, columns) + "\n";
    last_ = now;
  }
  if (!frame.empty()) [[maybe_unused]]
    auto written = WriteAll(screen_.fd, frame);
}

}  // namespace slipway::cli
