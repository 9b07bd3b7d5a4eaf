// SPDX-License-Identifier: Apache-2.0
// Batch scripts are written by hand for Slurm; what we do not understand is an error with its line.
#include <cstdint>
#include <string_view>

#include "cli/pyxis/pyxis.h"
#include "cli/script/directives.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  static const cli::Command kSubmit = {
      .name = "slipway submit",
      .options = {{.name = "image", .type = cli::Option::kString, .value_name = "IMAGE"},
                  {.name = "nodes", .letter = 'N', .type = cli::Option::kString, .value_name = "N"},
                  {.name = "bind", .letter = 'B', .type = cli::Option::kList, .value_name = "SRC"},
                  {.name = "verbose", .letter = 'v', .type = cli::Option::kCount},
                  {.name = "exclusive"}},
      .positionals = {{.name = "SCRIPT", .arity = cli::Positional::kMany}},
      .stop_at_first_positional = true};
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto words = cli::ReadDirectives(kSubmit, text, "job.sh");
  if (words) {
    CHECK(text.starts_with("#!"));
    CHECK(cli::ParseOptions(kSubmit, *words).has_value());  // each line was checked by itself
  } else {
    CHECK(words.error().message.starts_with("job.sh"));
    CHECK(words.error().message.find('\n') == std::string::npos);
  }
  (void)cli::SplitWords(text);
  // What its steps name, and what Pyxis's options make of any text.
  for (const std::string& image : cli::ImagesOfSteps(text))
    CHECK(!image.empty() && image.find('\n') == std::string::npos);
  auto image = cli::PyxisImage(text, [](const std::string&) { return false; });
  CHECK(!image || !image->empty());
  auto mounts = cli::PyxisMounts(text);
  if (mounts) CHECK(!mounts->empty());
  return 0;
}
