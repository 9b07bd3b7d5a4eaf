// SPDX-License-Identifier: Apache-2.0
// slipway completion, and the words that only the running cluster knows.
#include <dirent.h>

#include "api/context.h"
#include "cli/front/container_commands.h"
#include "cli/front/instance_commands.h"
#include "cli/gpu/declared/declared.h"
#include "cli/images/declared/declared.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"
#include "slipway/v1/image.grpc.pb.h"
#include "slipway/v1/job.grpc.pb.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::cli {
namespace {

Command DeclareCompletion() {
  return {.name = "slipway completion",
          .summary = "print shell completion",
          .examples = {{"eval \"$(slipway completion bash)\"", "in ~/.bashrc"}},
          .positionals = {{.name = "SHELL", .arity = Positional::kOne, .help = "bash", .complete = "bash"}}};
}

Result<int> Completion(const Parsed& options) {
  if (options.positionals()[0] != "bash")
    return UsageExit(Error{Code::kInvalidArgument, 0, "slipway completion: only bash is there yet"});
  std::vector<Command> commands = ContainerCommands();
  for (const Command& command : InstanceCommands()) commands.push_back(command);
  for (const Subcommand* subcommand : AllSubcommands()) {
    if (!subcommand->hidden) commands.push_back(subcommand->declare());
  }
  for (Command& command : ImageFileCommands()) commands.push_back(std::move(command));
  for (Command& command : GpuCommands()) commands.push_back(std::move(command));
  Print(BashCompletion("slipway", commands));
  return 0;
}

Command DeclareComplete() {
  return {.name = "slipway complete",
          .summary = "words for the shell's completion",
          .positionals = {{.name = "KIND", .arity = Positional::kOne},
                          {.name = "PREFIX", .arity = Positional::kOptional}}};
}

Result<std::vector<std::string>> ContextNames() {
  std::vector<std::string> names;
  DIR* dir = ::opendir(TRY(UserContextFolder()).c_str());
  if (dir == nullptr) return names;
  while (dirent* entry = ::readdir(dir)) {
    std::string_view name = entry->d_name;
    if (name.ends_with(".toml")) names.emplace_back(name.substr(0, name.size() - 5));
  }
  ::closedir(dir);
  return names;
}

Result<std::vector<std::string>> Words(const std::string& kind) {
  if (kind == "context") return ContextNames();
  Cluster cluster = TRY(Cluster::Of(TRY(FindContext())));
  std::vector<std::string> words;
  if (kind == "job") {
    auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::List, v1::ListJobsRequest()));
    for (const v1::Job& job : reply.jobs()) words.push_back(JobIdText(job));
  } else if (kind == "node") {
    auto reply = TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::List, v1::ListNodesRequest()));
    for (const v1::Node& node : reply.nodes()) words.push_back(node.name());
  } else if (kind == "image") {
    auto reply = TRY(cluster.Call<v1::Images>(&v1::Images::Stub::List, v1::ListImagesRequest()));
    for (const v1::Image& image : reply.images()) words.push_back(image.name());
  }
  return words;
}

// Whoever presses Tab wants words or silence.
Result<int> Complete(const Parsed& options) {
  const auto& given = options.positionals();
  std::string prefix = given.size() > 1 ? given[1] : "", text;
  auto words = Words(given[0]);
  if (!words) return 0;
  for (const std::string& word : *words) {
    if (word.starts_with(prefix)) text += word + "\n";
  }
  Print(text);
  return 0;
}

Command DeclareVersion() {
  return {.name = "slipway version", .summary = "print the version", .examples = {{"slipway version", ""}}};
}

// Workflow engines ask `apptainer --version` and compare: the release whose options and files ours follow.
constexpr const char* kApptainerVersion = "1.4.0";

Result<int> Version(const Parsed&) {
  if (std::string name = CalledAs(); name == "apptainer" || name == "singularity") {
    Print(Cat(name, " version ", kApptainerVersion, "+slipway.", SLIPWAY_VERSION, "\n"));
    return 0;
  }
  Print("slipway " SLIPWAY_VERSION "\n");
  return 0;
}

}  // namespace

const Subcommand kCompletion{{"completion"}, DeclareCompletion, Completion},
    kComplete{{"complete"}, DeclareComplete, Complete, 0, true},
    kVersion{{"version"}, DeclareVersion, Version};

}  // namespace slipway::cli
