// SPDX-License-Identifier: Apache-2.0
// slipway inspect: what is in an image file. It is asked in scripts, often, and needs none of the libraries
// that slipway-images spends 7 ms to load.
#include "imagestore/build/inspect.h"

#include <nlohmann/json.hpp>

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"

namespace slipway::cli {
namespace {

// What can be asked for alone: `--NAME`, the text under Apptainer's name for it.
struct Part {
  const char* name;
  char letter;
  const char* help;
  std::string build::Inspection::*text;
};
constexpr Part kParts[] = {
    {"deffile", 'd', "only the recipe", &build::Inspection::deffile},
    {"runscript", 'r', "only the runscript", &build::Inspection::runscript},
    {"startscript", 's', "only the script of instances", &build::Inspection::startscript},
    {"test", 't', "only the tests", &build::Inspection::test},
    {"helpfile", 'H', "only the help", &build::Inspection::help},
    {"environment", 'e', "only the environment", &build::Inspection::environment},
};

Command Declare() {
  Command command{.name = "slipway inspect",
                  .summary = "show an image's labels and scripts",
                  .examples = {{"slipway inspect mpi.sif", "for people"},
                               {"slipway inspect --json mpi.sif", "for programs"},
                               {"slipway inspect --deffile mpi.sif", "the recipe it was built from"},
                               {"slipway inspect --app solver --runscript tools.sif", "of an app in it"}},
                  .positionals = {{.name = "IMAGE", .arity = Positional::kOne, .complete = "file"}}};
  for (const Part& part : kParts)
    command.options.push_back({.name = part.name, .letter = part.letter, .help = part.help});
  command.options.push_back({.name = "labels", .letter = 'l', .help = "only the labels: NAME: VALUE"});
  command.options.push_back({.name = "list-apps", .help = "only the names of the apps in it"});
  command.options.push_back({.name = "all", .letter = 'a', .help = "all of it; so it is without an option"});
  command.options.push_back({.name = "app",
                             .type = Option::kString,
                             .value_name = "NAME",
                             .help = "the labels and scripts of this app of it"});
  command.options.push_back({.name = "digest", .help = "also the digests, for which all of it is read"});
  Option json = JsonOption();
  json.letter = 'j';
  command.options.push_back(json);
  return command;
}

std::string Section(const char* name, const std::string& text) {
  if (text.empty()) return {};
  return Cat("\n", name, ":\n", text, text.back() == '\n' ? "" : "\n");
}

std::string LabelLines(const build::Inspection& it, std::string_view before, std::string_view between) {
  std::string text;
  for (const auto& [key, value] : it.labels)
    text += Cat(before, Printable(key), between, Printable(value), "\n");
  return text;
}

// Scripts that were written for Apptainer look for its object.
std::string ApptainerJson(const build::Inspection& it, const Parsed& options) {
  nlohmann::json attributes = nlohmann::json::object();
  bool all = options.Has("all"), any = false;
  for (const Part& part : kParts) {
    bool asked = options.Has(part.name);
    any = any || asked;
    if (!asked && !(all && !(it.*part.text).empty())) continue;
    if (std::string_view(part.name) == "environment") {
      attributes[part.name]["/.singularity.d/env/90-environment.sh"] = it.*part.text;
    } else {
      attributes[part.name] = it.*part.text;
    }
  }
  if (options.Has("list-apps")) attributes["apps"] = it.apps;
  if (all || options.Has("labels") || (!any && !options.Has("list-apps"))) attributes["labels"] = it.labels;
  nlohmann::json json = {{"data", {{"attributes", attributes}}}, {"type", "container"}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string ForPeople(const build::Inspection& it) {
  std::string text = Cat("format      ", it.format, "\narch        ", it.arch, "\nsize        ",
                         FormatBytes(it.size), "\nsquashfs    ", FormatBytes(it.partition_size), ", ",
                         it.compressor, "\nshell       ", it.has_shell ? it.shell_arch : "none", "\n");
  if (!it.digest.empty()) text += Cat("digest      ", it.digest, "\npartition   ", it.partition_digest, "\n");
  if (!it.apps.empty()) text += Cat("apps        ", Printable(Join(it.apps, ", ")), "\n");
  return Cat(text, LabelLines(it, "label       ", "="), Section("help", it.help),
             Section("runscript", it.runscript), Section("environment", it.environment));
}

Result<int> Inspect(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  auto it = TRY(build::Inspect(path, {.digests = options.Has("digest"), .app = options.Value("app")}));
  bool called_as_apptainer = CalledAs() == "apptainer" || CalledAs() == "singularity";
  if (options.Has("json")) {
    std::string json = called_as_apptainer ? ApptainerJson(it, options) : build::InspectionJson(it);
    Print(json.ends_with("\n") ? json : json + "\n");
    return 0;
  }
  std::string asked;
  bool any = false;
  for (const Part& part : kParts) {
    if (!options.Has(part.name)) continue;
    asked += it.*part.text;
    any = true;
  }
  if (options.Has("list-apps")) {
    for (const std::string& app : it.apps) asked += Printable(app) + "\n";
    any = true;
  }
  if (options.Has("labels") || (called_as_apptainer && !any && !options.Has("all"))) {
    asked += LabelLines(it, "", ": ");
    any = true;
  }
  Print(any ? asked : ForPeople(it));
  return 0;
}

}  // namespace

const Subcommand kInspect{{"inspect"}, Declare, Inspect};

}  // namespace slipway::cli
