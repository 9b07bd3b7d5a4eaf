// SPDX-License-Identifier: Apache-2.0
// The part of a build that happens in the image's tree: bootstrap, %files, metadata, %post, %test.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/result/result.h"
#include "imagestore/build/build.h"
#include "imagestore/build/build_cache.h"
#include "imagestore/build/deffile.h"
#include "imagestore/build/metadata.h"
#include "imagestore/build/runner.h"

namespace slipway::build {

struct PopulateOptions {
  const Recipe* recipe = nullptr;
  Labels labels;
  std::string root;                           // an empty directory
  std::string scratch;                        // another, for the bootstrap's own files
  std::map<std::string, std::string> stages;  // earlier ones: name → where their tree is
  // Where states are kept and begun from; null: nowhere. `stage_keys`: of the earlier stages' last states.
  BuildCache* cache = nullptr;
  std::map<std::string, std::string> stage_keys;
  bool run_tests = true;
  std::function<void(const BuildProgress&)> progress;
  std::function<void(std::string_view)> log;
  const std::atomic<bool>* cancelled = nullptr;
};
// As root, of the machine or of a user namespace. Returns the last state's key (state_keys.h).
Result<std::string> Populate(const PopulateOptions& options);

}  // namespace slipway::build
