// SPDX-License-Identifier: Apache-2.0
// Several things that go on at once (layers, sections of a recipe): on a terminal a line for each with a bar,
// bytes, rate and what is left, below whatever else is said; and a plain line when one is done. Elsewhere the
// plain lines only. Called by one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace slipway::cli {

struct Bar {
  using Time = std::chrono::steady_clock::time_point;
  std::string what;
  std::uint64_t done = 0, total = 0;  // bytes; 0 of all: nobody knows
  std::uint64_t there = 0;            // bytes that were there before it began
  Time began{};
};

// "layer 0123abcd  [=====>     ]  45 %  12 MiB of 28 MiB  11 MiB/s  2 s left", no wider than the columns.
std::string BarText(const Bar& bar, Bar::Time now, unsigned columns);

unsigned ColumnsOf(int fd);  // of the terminal; 80 where it says nothing

class Bars {
 public:
  struct Screen {
    int fd = 2;  // borrowed
    bool terminal = false;
    unsigned columns = 0;  // 0: what the terminal says
  };
  static Screen Stderr();

  explicit Bars(Screen screen = Stderr()) : screen_(screen) {}
  ~Bars() { Clear(); }
  Bars(const Bars&) = delete;

  // As often as one likes. What has all its bytes is done and gets its plain line.
  void Show(const std::string& what, std::uint64_t done, std::uint64_t total,
            Bar::Time now = std::chrono::steady_clock::now());
  // Of a thing whose size nobody knew. What was never shown is not spoken of.
  void Done(const std::string& what, Bar::Time now = std::chrono::steady_clock::now());
  void Say(std::string_view line);  // above the bars
  void Clear();                     // nothing goes on any more
  bool terminal() const { return screen_.terminal; }

 private:
  std::vector<Bar>::iterator Find(const std::string& what);
  void Finish(std::vector<Bar>::iterator bar, Bar::Time now);
  void Draw(std::string_view above, Bar::Time now);

  Screen screen_;
  std::vector<Bar> bars_;
  std::set<std::string> finished_;
  std::size_t drawn_ = 0;  // lines on the screen that are ours
  Bar::Time last_{};
};

}  // namespace slipway::cli
