// SPDX-License-Identifier: Apache-2.0
// A definition file says how an image is made: a header ("Bootstrap: debootstrap") and sections (%post …), in
// Apptainer's syntax. What this version cannot do is refused with the line it stands on, never skipped: an
// image that lacks half of its recipe is worse than none.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"

namespace slipway::build {

struct Section {
  int line = 0;  // of its %name in the file, from 1; 0: the section is not there
  std::string text;
  std::string shell;  // "%post -c /bin/bash": that shell; empty: /bin/sh
  explicit operator bool() const { return line != 0; }
};

struct FileCopy {
  int line = 0;
  std::string source, destination;  // destination is empty when the file has one word: the same path
};

struct Recipe {
  std::string name;       // of the file, for messages
  std::string text;       // the whole file, as it is kept in the image
  std::string bootstrap;  // "debootstrap" or "localimage"
  int bootstrap_line = 0;
  std::string mirror_url;            // debootstrap; empty: the host's
  std::string os_version;            // debootstrap: the suite
  std::vector<std::string> include;  // debootstrap: packages
  std::string from;                  // localimage: a SIF, a squashfs or a directory
  Section environment, runscript, startscript, post, test, help;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<FileCopy> files;
};

// kInvalidArgument or kUnimplemented, "recipe.def:12: …".
Result<Recipe> ParseRecipe(std::string_view text, std::string_view name);

}  // namespace slipway::build
