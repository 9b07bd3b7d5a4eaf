// SPDX-License-Identifier: Apache-2.0
// slipway-gpu: what this host has of GPUs. A program of its own, because it loads a driver's library, which
// a static program cannot and others should not.
#include "cli/gpu/subcommands.h"

int main(int argc, char** argv) {
  using namespace slipway::cli;
  static const std::vector<const Subcommand*> all = {&kGpuList, &kGpuCdi, &kGpuUse};
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty())
    return UsageExit({slipway::Code::kInvalidArgument, 0, "slipway-gpu: call it as `slipway gpu`"});
  return Dispatch(words, all);
}
