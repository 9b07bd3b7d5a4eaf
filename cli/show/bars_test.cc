// SPDX-License-Identifier: Apache-2.0
#include "cli/show/bars.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/os/fd.h"

namespace slipway::cli {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kMiB = 1 << 20;
const Bar::Time kStart{seconds(1000)};

// What a function shows on a screen of 100 columns.
template <class Do>
std::string Shown(bool terminal, Do what) {
  PipeEnds pipe = *MakePipe();
  {
    Bars bars({.fd = pipe.write.get(), .terminal = terminal, .columns = 100});
    what(bars);
  }
  pipe.write.reset();
  return *ReadAll(pipe.read.get(), 1 << 20);
}

TEST(BarText, HasBytesRateAndWhatIsLeft) {
  Bar bar{.what = "layer 0123", .done = 30 * kMiB, .total = 40 * kMiB, .there = 10 * kMiB, .began = kStart};
  EXPECT_EQ(BarText(bar, kStart + seconds(4), 100),
            "layer 0123  [==================>     ]  75 %  30 MiB of 40 MiB  5 MiB/s  2 s left");
  bar.total = 0;
  EXPECT_EQ(BarText(bar, kStart + seconds(64), 100), "layer 0123  30 MiB  1 min 4 s  320 KiB/s");
  EXPECT_EQ(BarText(bar, kStart + seconds(4), 20).size(), 19U) << "a line that breaks cannot be taken back";
  bar = {.what = "x", .done = UINT64_MAX, .total = UINT64_MAX - 1, .began = kStart};
  EXPECT_THAT(BarText(bar, kStart, 200), HasSubstr("100 %"));
}

TEST(Bars, EachThingHasALineThatGoesWhenItIsDone) {
  std::string screen = Shown(true, [](Bars& bars) {
    bars.Show("a", 0, 8, kStart);
    bars.Show("b", 0, 8, kStart + seconds(1));
    bars.Show("a", 8, 8, kStart + seconds(2));
    bars.Show("a", 3, 8, kStart + seconds(3));  // again: an image may have a layer twice
  });
  EXPECT_THAT(screen, HasSubstr("\033[1A\r\033[Ja  [>"));
  EXPECT_THAT(screen, HasSubstr("of 8 B\nb  [>")) << "two bars stand below one another";
  EXPECT_THAT(screen, HasSubstr("\033[2A\r\033[Ja: 8 B in 2 s\nb  [>"));
  EXPECT_TRUE(screen.ends_with("\033[1A\r\033[J")) << "nothing of it is left";
}

TEST(Bars, WhereThereIsNoTerminalOnlyPlainLinesAreSaid) {
  std::string said = Shown(false, [](Bars& bars) {
    bars.Show("layer a", 0, 8, kStart);
    bars.Show("layer a", 4, 8, kStart + seconds(1));
    bars.Show("layer b", 5, 5, kStart + seconds(1));
    bars.Show("layer a", 8, 8, kStart + seconds(2));
    bars.Show("packing", 1, 0, kStart + seconds(2));
    bars.Show("packing", 9, 0, kStart + seconds(3));
  });
  EXPECT_EQ(said, "layer b: 5 B, here already\nlayer a: 8 B in 2 s\npacking\n");
  EXPECT_THAT(said, Not(HasSubstr("\033")));
}

}  // namespace
}  // namespace slipway::cli
