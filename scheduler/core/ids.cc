// SPDX-License-Identifier: Apache-2.0
// Names as people read them.
#include "scheduler/core/ids.h"

namespace slipway::scheduler {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The run of digits at the front, without leading zeros, and its whole length.
std::pair<std::string_view, std::size_t> Number(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size() && IsDigit(text[length])) ++length;
  std::size_t zeros = 0;
  while (zeros < length && text[zeros] == '0') ++zeros;
  return {text.substr(zeros, length - zeros), length};
}

}  // namespace

std::string ToString(JobId id) { return std::to_string(id.value); }

std::string ToString(const StepId& id) {
  return Cat(id.job.value, '.', id.attempt, '.',
             id.step == kBatchStep ? std::string("batch") : std::to_string(id.step));
}

bool NodeNameLess::operator()(std::string_view a, std::string_view b) const {
  std::string_view left = a, right = b;
  while (!left.empty() && !right.empty()) {
    if (IsDigit(left[0]) && IsDigit(right[0])) {
      auto [x, x_length] = Number(left);
      auto [y, y_length] = Number(right);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      left.remove_prefix(x_length);
      right.remove_prefix(y_length);
    } else {
      if (left[0] != right[0]) return left[0] < right[0];
      left.remove_prefix(1);
      right.remove_prefix(1);
    }
  }
  if (left.empty() != right.empty()) return left.empty();
  return a < b;  // "n1" and "n01": different names must not be equal
}

}  // namespace slipway::scheduler
