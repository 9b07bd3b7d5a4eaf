// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/sort.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway::cli {
namespace {

using Row = std::vector<std::string>;

int Find(char letter) { return letter == 'P' ? 0 : letter == 'i' ? 1 : letter == 'M' ? 2 : -1; }

std::vector<std::string> Sorted(std::string_view by) {
  std::vector<Row> rows = {{"gpu", "9", "1-00:00:00"},
                           {"main", "10", "23:59:00"},
                           {"gpu", "11", "5:00"},
                           {"main", "2", "UNLIMITED"}};
  SortBy<Row>(*ParseSort(by, Find), rows,
              [](const Row& row, int field) { return row[static_cast<std::size_t>(field)]; });
  std::vector<std::string> ids;
  for (const Row& row : rows) ids.push_back(row[1]);
  return ids;
}

TEST(Sort, NumbersGoByValueAndTimesByLengthUpOrDown) {
  using testing::ElementsAre;
  EXPECT_THAT(Sorted("i"), ElementsAre("2", "9", "10", "11"));
  EXPECT_THAT(Sorted("-i"), ElementsAre("11", "10", "9", "2"));
  EXPECT_THAT(Sorted("P,-i"), ElementsAre("11", "9", "10", "2"));
  EXPECT_THAT(Sorted("M"), ElementsAre("11", "10", "9", "2"));
  EXPECT_THAT(Sorted("#P,+M"), ElementsAre("11", "9", "10", "2"));
}

TEST(Sort, WhatIsNoColumnIsRefusedByName) {
  EXPECT_THAT(ParseSort("P,z", Find).error().message, testing::HasSubstr("'z'"));
  EXPECT_FALSE(ParseSort("", Find));
  EXPECT_FALSE(ParseSort("Pi", Find));
}

TEST(Sort, DatesAreNoLengthsOfTime) {
  EXPECT_TRUE(CellBefore("2026-11-02T10:00:00", "2026-11-10T09:00:00"));
  EXPECT_TRUE(CellBefore("7", "N/A")) << "what has no value comes last";
}

}  // namespace
}  // namespace slipway::cli
