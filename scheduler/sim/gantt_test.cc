// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/gantt.h"

#include <gtest/gtest.h>

namespace slipway::scheduler {
namespace {

std::size_t CountOf(const std::string& text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(Gantt, NeighboursAreOneBarAndWhatRunsIsDrawnToTheEnd) {
  Gantt gantt(4);
  gantt.Sampled(0, 0, 2);
  gantt.Started(1, {{0, 1}, {1, 1}, {3, 1}}, 0);
  gantt.Started(2, {{2, 1}}, 0);
  gantt.Ended(2, 5'000'000);
  gantt.Ended(9, 5'000'000);
  gantt.Sampled(10'000'000, 0.75, 0);
  std::string svg = gantt.Svg();
  EXPECT_EQ(CountOf(svg, "<title>job 1</title>"), 2U) << "nodes 0 and 1, and node 3";
  EXPECT_EQ(CountOf(svg, "<title>job 2</title>"), 1U);
  EXPECT_EQ(CountOf(svg, "<polyline"), 2U);
  EXPECT_NE(svg.find("width=\"1110.00\""), std::string::npos) << "job 1 runs to the right edge";
  EXPECT_NE(svg.find("width=\"555.00\""), std::string::npos) << "job 2 to the middle";
  EXPECT_NE(svg.find("over 10.00 s"), std::string::npos);
  EXPECT_TRUE(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

TEST(Gantt, AChartOfNothingIsAChart) { EXPECT_EQ(CountOf(Gantt(0).Svg(), "<title>"), 0U); }

}  // namespace
}  // namespace slipway::scheduler
