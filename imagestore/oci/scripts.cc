// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/scripts.h"

#include <sys/stat.h>

#include <chrono>

#include "base/text/shell.h"
#include "base/text/units.h"

namespace slipway::oci {

namespace {

std::string Words(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += " " + ShellQuoted(word);
  return out;
}

// Inside double quotes.
std::string Escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\' || c == '$' || c == '`') out += '\\';
    out += c;
  }
  return out;
}

bool IsVariableName(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
         std::string_view::npos;
}

}  // namespace

std::string Runscript(const ImageConfig& config) {
  std::string script = "#!/bin/sh\n# ENTRYPOINT and CMD of the OCI image; arguments take CMD's place.\n";
  if (!config.command.empty()) script += Cat("[ $# -gt 0 ] || set --", Words(config.command), "\n");
  if (!config.entrypoint.empty()) script += Cat("set --", Words(config.entrypoint), " \"$@\"\n");
  return script + "[ $# -gt 0 ] || set -- /bin/sh\nexec \"$@\"\n";
}

std::string EnvironmentScript(const ImageConfig& config) {
  std::string script = "#!/bin/sh\n";
  for (const std::string& entry : config.env) {
    std::size_t equals = entry.find('=');
    std::string name = entry.substr(0, equals);
    if (!IsVariableName(name)) continue;
    std::string value = equals == std::string::npos ? "" : Escaped(entry.substr(equals + 1));
    script += name == "PATH" ? Cat("export PATH=\"", value, "\"\n")
                             : Cat("export ", name, "=\"${", name, ":-\"", value, "\"}\"\n");
  }
  return script;
}

build::Labels LabelsOf(const ImageConfig& config, const std::string& source, std::int64_t now) {
  build::Labels labels(config.labels.begin(), config.labels.end());
  std::size_t colon = source.find(':');
  std::string from = source.substr(std::min(source.size(), colon + 1));
  if (from.starts_with("//")) from.erase(0, 2);
  labels["org.label-schema.schema-version"] = "1.0";
  labels["org.label-schema.build-date"] =
      FormatTime(std::chrono::system_clock::time_point(std::chrono::seconds(now)));
  if (!config.arch.empty()) labels["org.label-schema.build-arch"] = config.arch;
  labels["org.label-schema.usage.singularity.deffile.bootstrap"] = source.substr(0, colon);
  labels["org.label-schema.usage.singularity.deffile.from"] = from;
  return labels;
}

std::vector<squashfs::AddedFile> ContainerFiles(const ImageConfig& config, const build::Labels& labels,
                                                const std::string& deffile) {
  constexpr std::uint32_t kScript = S_IFREG | 0755, kText = S_IFREG | 0644, kLink = S_IFLNK | 0777;
  const std::string base = ".singularity.d";
  return {{base, S_IFDIR | 0755, {}},
          {base + "/env", S_IFDIR | 0755, {}},
          {base + "/env/01-base.sh", kScript,
           "#!/bin/sh\nexport PATH=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n"},
          {base + "/env/10-docker2singularity.sh", kScript, EnvironmentScript(config)},
          {base + "/env/90-environment.sh", kScript, "#!/bin/sh\n"},
          {base + "/runscript", kScript, Runscript(config)},
          {base + "/startscript", kScript, "#!/bin/sh\n"},
          {base + "/labels.json", kText, build::LabelsJson(labels)},
          {base + "/Singularity", kText, deffile},
          {"environment", kLink, ".singularity.d/env/90-environment.sh"},
          {"singularity", kLink, ".singularity.d/runscript"}};
}

std::vector<squashfs::AddedFile> MountPoints() {
  std::vector<squashfs::AddedFile> files;
  for (const char* directory :
       {"proc", "sys", "dev", "home", "root", "var", "run", "etc", "opt", "mnt", "srv"})
    files.push_back({directory, S_IFDIR | 0755, {}});
  for (const char* directory : {"tmp", "var/tmp"}) files.push_back({directory, S_IFDIR | 01777, {}});
  for (const char* file : {"etc/resolv.conf", "etc/hosts"}) files.push_back({file, S_IFREG | 0644, {}});
  return files;
}

}  // namespace slipway::oci
