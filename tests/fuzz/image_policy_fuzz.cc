// SPDX-License-Identifier: Apache-2.0
// Patterns and names are users' words; a rule decides the same however often it is asked.
#include <cstdint>

#include "imagestore/store/image_name.h"
#include "imagestore/store/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view first = text.substr(0, text.find('\n')),
                   rest = text.substr(std::min(first.size() + 1, size));
  auto pattern = store::ParsePattern(first);
  auto name = store::ParseImageName(rest);
  if (pattern) {
    CHECK(*store::ParsePattern(*pattern) == *pattern);
  }
  if (!pattern || !name) return 0;
  store::PolicyUser user{1000, {100}, "x"};
  store::PolicyImage image{name->Text(), {name->Text()}, {}};
  std::vector<store::PolicyRule> closed = {{.id = 1, .allow = false, .pattern = *pattern}};
  std::vector<store::PolicyRule> open = {{.id = 1, .allow = true, .pattern = *pattern}};
  bool fits = store::WhyNotAllowed(closed, user, image).has_value();
  CHECK(!store::WhyNotAllowed(open, user, image));
  CHECK(fits || *pattern != "*");
  closed.push_back({.id = 2, .allow = false, .pattern = "*"});
  CHECK(store::WhyNotAllowed(closed, user, image).has_value());
  return 0;
}
