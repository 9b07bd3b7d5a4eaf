// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/number_index.h"

#include <utility>

#include "base/result/result.h"

namespace slipway::plan {

void NumberIndex::Put(Slot slot) {
  std::size_t at = slot.mark & mask();
  while (slots_[at].taken()) at = (at + 1) & mask();
  slots_[at] = slot;
}

void NumberIndex::Insert(std::uint64_t hash, std::uint32_t number) {
  CHECK(number != kFree);
  if (5 * (size_ + 1) > 4 * slots_.size()) {  // four fifths full: a probe still ends soon
    std::vector<Slot> before =
        std::exchange(slots_, std::vector<Slot>(slots_.empty() ? 16 : 2 * slots_.size()));
    for (const Slot& slot : before) {
      if (slot.taken()) Put(slot);
    }
  }
  Put({MarkOf(hash), number});
  ++size_;
}

void NumberIndex::Erase(std::uint64_t hash, std::uint32_t number) {
  CHECK(!slots_.empty());
  std::size_t hole = MarkOf(hash) & mask();
  while (slots_[hole].number != number) {
    CHECK(slots_[hole].taken());
    hole = (hole + 1) & mask();
  }
  // Those behind it that the hole would hide from where they are looked for move up.
  for (std::size_t at = (hole + 1) & mask(); slots_[at].taken(); at = (at + 1) & mask()) {
    std::size_t home = slots_[at].mark & mask();
    if (((at - home) & mask()) < ((at - hole) & mask())) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = {};
  --size_;
}

}  // namespace slipway::plan
