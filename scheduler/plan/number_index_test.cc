// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/number_index.h"

#include <gtest/gtest.h>

#include <map>

namespace slipway::plan {
namespace {

// As a map of keys does, whatever came and went before: by hashes of which many are the same.
TEST(NumberIndex, FindsWhatAMapFinds) {
  for (std::uint64_t hashes : {1ULL, 7ULL, 1'000ULL, 1ULL << 40}) {
    NumberIndex index;
    std::map<std::uint64_t, std::uint32_t> keys;  // key → number
    std::map<std::uint32_t, std::uint64_t> of;    // and back
    std::uint64_t state = hashes;
    auto hash_of = [&](std::uint64_t key) { return (key * 0x9fb21c651e98df25) % hashes; };
    std::uint32_t next = 0;
    for (int step = 0; step < 4000; ++step) {
      state = state * 6364136223846793005 + 1442695040888963407;
      std::uint64_t key = (state >> 33) % 300;
      auto found = index.Find(hash_of(key), [&](std::uint32_t number) { return of.at(number) == key; });
      auto known = keys.find(key);
      ASSERT_EQ(found.has_value(), known != keys.end()) << "hashes " << hashes << " step " << step;
      if (found) {
        ASSERT_EQ(*found, known->second);
        index.Erase(hash_of(key), *found);
        of.erase(*found);
        keys.erase(known);
      } else {
        index.Insert(hash_of(key), next);
        keys[key] = next;
        of[next++] = key;
      }
      ASSERT_EQ(index.size(), keys.size());
    }
  }
}

}  // namespace
}  // namespace slipway::plan
