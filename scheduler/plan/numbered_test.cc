// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/numbered.h"

#include <gtest/gtest.h>

namespace slipway::plan {
namespace {

TEST(Numbered, RecordsKeepTheirNumberAndTheirPlaceHoweverManyFollow) {
  Numbered<std::uint32_t> records;
  EXPECT_EQ(records.Append(), 0U);
  std::uint32_t* first = &records[0];
  *first = 7;
  for (std::uint32_t number = 1; number < 10'000; ++number) {
    ASSERT_EQ(records.Append(), number);
    ASSERT_EQ(records[number], 0U) << "a new one is as it is made";
    records[number] = number + 7;
  }
  EXPECT_EQ(&records[0], first);
  std::uint32_t expected = 7;
  records.Each([&](std::uint32_t record) { EXPECT_EQ(record, expected++); });
  EXPECT_EQ(expected, records.size() + 7);
}

}  // namespace
}  // namespace slipway::plan
