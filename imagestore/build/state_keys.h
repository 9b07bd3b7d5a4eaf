// SPDX-License-Identifier: Apache-2.0
// What an image's tree is after a step of its recipe comes from: the words of the recipe so far, the bytes of
// the image that it builds on, where packages come from, the files that were copied in, the stages that were
// copied from. A digest over all that is the state's key: equal keys, equal trees, as far as a section that
// asks a network allows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "imagestore/build/build_cache.h"
#include "imagestore/build/deffile.h"

namespace slipway::build {

// Steps of every recipe, by number: these three, then one for each app.
inline constexpr std::size_t kBootstrapStep = 0, kFilesStep = 1, kPostStep = 2, kFirstAppStep = 3;
// "bootstrap", "%files", "%post", "%appinstall NAME".
std::string StepName(const Recipe& recipe, std::size_t step);
// Whether doing it again costs more than reading it back.
bool IsWorthKeeping(const Recipe& recipe, std::size_t step);

// The keys of the states after each step. `stages`: those of earlier stages' last states, by name. "" where
// nobody can say what a state comes from: after a %setup, which runs on the host, and where a file cannot be
// read. Recipe::base_digest must be set where the recipe builds on an image.
std::vector<std::string> KeysOf(const Recipe& recipe, const std::map<std::string, std::string>& stages);

// For each stage of `recipe`, itself last, whether its tree is needed: not when all that copies from it is in
// a state that the cache has, which it holds from here on. All are where sections run on the host.
struct StagePlan {
  bool is_needed = true;
  std::string key;  // of its last state; "" where that is found out later
};
std::vector<StagePlan> PlanStages(const Recipe& recipe, BuildCache& cache);

// What %post and its kin find in their environment, "NAME=value", from ours.
std::vector<std::string> SectionEnvironment();

}  // namespace slipway::build
