// SPDX-License-Identifier: Apache-2.0
// Recipes come from strangers' repositories; a bad one is an error with a line, never a crash.
#include <cstdint>
#include <string_view>

#include "imagestore/build/apt_sources.h"
#include "imagestore/build/deffile.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto recipe = build::ParseRecipe(text, "fuzz.def");
  if (recipe) {
    CHECK(!recipe->bootstrap.empty());
    CHECK(recipe->text == text);
  } else {
    CHECK(!recipe.error().message.empty());
  }
  if (auto filled = build::FillIn(text, "fuzz.def", {})) (void)build::ParseRecipe(*filled, "fuzz.def");
  (void)build::ParseOneLineSources(text);
  (void)build::ParseDeb822Sources(text);
  return 0;
}
