// SPDX-License-Identifier: Apache-2.0
#include "api/tres.h"

#include <gtest/gtest.h>

#include "api/mpi.h"

namespace slipway {
namespace {

TEST(Tres, IsReadAndWrittenAsAdministratorsKnowIt) {
  v1::Tres tres = *ParseTres("cpu=64, mem=2G,gres/gpu=8");
  EXPECT_EQ(tres.cpu(), 64);
  EXPECT_EQ(tres.memory_bytes(), std::int64_t{2} << 30);
  EXPECT_EQ(tres.gpu(), 8);
  EXPECT_FALSE(tres.has_node());
  EXPECT_EQ(FormatTres(tres), "cpu=64,mem=2 GiB,gpu=8");
  EXPECT_EQ(FormatTres(*ParseTres("")), "");
  for (const char* text : {"cpu", "cpu=", "cpu=x", "cpu=-1", "disk=3", "mem=much", "=4", "cpu=1,,gpu=2"})
    EXPECT_FALSE(ParseTres(text).has_value()) << text;
}

enum class Kind { kNone, kPmix, kAuto, kPmi };

TEST(MpiKind, IsOfferedToMoreThanOneTaskUnlessTheUserSaysOtherwise) {
  EXPECT_EQ(*MpiKindOf<Kind>(v1::MPI_UNSPECIFIED, 1), Kind::kNone);
  EXPECT_EQ(*MpiKindOf<Kind>(v1::MPI_UNSPECIFIED, 2), Kind::kAuto);
  EXPECT_EQ(*MpiKindOf<Kind>(v1::MPI_NONE, 2), Kind::kNone);
  EXPECT_EQ(*MpiKindOf<Kind>(v1::MPI_PMIX, 1), Kind::kPmix);
  EXPECT_EQ(*MpiKindOf<Kind>(v1::MPI_PMI, 1), Kind::kPmi);
  EXPECT_FALSE(MpiKindOf<Kind>(static_cast<v1::Mpi>(99), 1).has_value());
}

}  // namespace
}  // namespace slipway
