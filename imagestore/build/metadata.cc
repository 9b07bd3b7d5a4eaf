// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/metadata.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/text/units.h"

namespace slipway::build {

namespace {

constexpr char kBaseEnvironment[] =
    "#!/bin/sh\n"
    "# What every container starts from; 90-environment.sh may change it.\n"
    "export PATH=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n";
constexpr char kEnvironmentHead[] = "#!/bin/sh\n# The recipe's %environment\n\n";
constexpr char kRunscript[] = "/.singularity.d/runscript", kStartscript[] = "/.singularity.d/startscript";
constexpr char kDefaultRunscript[] = "#!/bin/sh\nexec /bin/sh \"$@\"\n";
constexpr char kDefaultStartscript[] = "#!/bin/sh\n";

std::string Script(const Section& section, std::string_view fallback) {
  if (!section) return std::string(fallback);
  std::string shell = section.shell.empty() ? "/bin/sh" : section.shell;
  return Cat("#!", shell, "\n\n", section.text);
}

struct Described {
  std::string path, text;
  unsigned mode;
};
// Of a recipe without a %runscript the default is no part of it: a section may put one there.
std::vector<Described> DescriptionOf(const Recipe& recipe, const Labels& labels) {
  std::vector<Described> files = {{"/.singularity.d/labels.json", LabelsJson(labels), 0644},
                                  {"/.singularity.d/Singularity", recipe.text, 0644}};
  for (const auto& [path, section] : {std::pair{kRunscript, &recipe.runscript},
                                      {kStartscript, &recipe.startscript},
                                      {"/.singularity.d/test", &recipe.test}})
    if (*section) files.push_back({path, Script(*section, ""), 0755});
  if (recipe.help) files.push_back({"/.singularity.d/runscript.help", recipe.help.text, 0644});
  return files;
}

// Labels come from outside and may not be UTF-8, which JSON must be.
std::string Dump(const nlohmann::json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Labels LabelsOf(const Recipe& recipe, const Labels& base, std::string_view arch, std::int64_t now) {
  Labels labels = base;
  std::chrono::system_clock::time_point time{std::chrono::seconds(now)};
  labels["org.label-schema.schema-version"] = "1.0";
  labels["org.label-schema.build-date"] = FormatTime(time);
  labels["org.label-schema.build-arch"] = arch;
  labels["org.label-schema.usage.singularity.deffile.bootstrap"] = recipe.bootstrap;
  if (!recipe.from.empty()) labels["org.label-schema.usage.singularity.deffile.from"] = recipe.from;
  for (const auto& [key, value] : recipe.labels) labels[key] = value;
  return labels;
}

std::string LabelsJson(const Labels& labels) { return Dump(nlohmann::json(labels), 2) + "\n"; }

Result<Labels> ParseLabels(std::string_view text) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return Fail(Code::kInvalidArgument, "the image's labels are no JSON object");
  Labels labels;
  for (auto& [key, value] : json.items()) {
    if (value.is_string()) labels[key] = value.get<std::string>();
  }
  return labels;
}

std::string InspectMetadataJson(const Labels& labels, std::string_view deffile) {
  nlohmann::json json;
  json["type"] = "container";
  json["data"]["attributes"]["labels"] = labels;
  if (!deffile.empty()) json["data"]["attributes"]["deffile"] = deffile;
  return Dump(json, -1);
}

Result<> MakeMountPoints(const RootDir& root) {
  for (const char* directory :
       {"/proc", "/sys", "/dev", "/home", "/root", "/var", "/run", "/etc", "/opt", "/mnt", "/srv"}) {
    TRY(root.MakeDirectories(directory));
  }
  for (const char* directory : {"/tmp", "/var/tmp"}) {
    if (!root.IsDirectory(directory)) TRY(root.MakeDirectories(directory, 01777));
  }
  for (const char* file : {"/etc/resolv.conf", "/etc/hosts"}) {
    if (!root.Exists(file)) TRY(root.WriteFile(file, "", 0644));
  }
  return {};
}

Result<> WriteDescription(const RootDir& root, const Recipe& recipe, const Labels& labels) {
  for (const Described& file : DescriptionOf(recipe, labels))
    TRY(root.WriteFile(file.path, file.text, file.mode));
  return {};
}

bool DescriptionIsAsWritten(const RootDir& root, const Recipe& recipe, const Labels& labels) {
  std::vector<Described> files = DescriptionOf(recipe, labels);
  return std::all_of(files.begin(), files.end(), [&](const Described& file) {
    return root.ReadFile(file.path, file.text.size() + 1).value_or("") == file.text;
  });
}

Result<> WriteMetadata(const RootDir& root, const Recipe& recipe, const Labels& labels) {
  TRY(MakeMountPoints(root));
  TRY(root.MakeDirectories("/.singularity.d/env"));
  TRY(root.WriteFile("/.singularity.d/env/01-base.sh", kBaseEnvironment, 0755));
  // The scripts of an image that this one builds on stay, where the recipe has none of its own.
  auto write = [&](const std::string& path, const Section& section, const std::string& text) -> Result<> {
    if (!section && recipe.HasBase() && root.Exists(path)) return {};
    return root.WriteFile(path, text, 0755);
  };
  TRY(write("/.singularity.d/env/90-environment.sh", recipe.environment,
            Cat(kEnvironmentHead, recipe.environment.text)));
  TRY(write(kRunscript, recipe.runscript, kDefaultRunscript));
  TRY(write(kStartscript, recipe.startscript, kDefaultStartscript));
  TRY(WriteDescription(root, recipe, labels));
  if (!root.Exists("/environment")) TRY(root.Symlink("/environment", ".singularity.d/env/90-environment.sh"));
  if (!root.Exists("/singularity")) TRY(root.Symlink("/singularity", ".singularity.d/runscript"));
  return {};
}

}  // namespace slipway::build
