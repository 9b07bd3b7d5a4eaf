// SPDX-License-Identifier: Apache-2.0
#include "imagestore/content/packages.h"

#include <optional>

namespace slipway::content {
namespace {

// Calls `line` with each line, without its end.
template <class OfLine>
void ForLines(std::string_view text, OfLine of_line) {
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    of_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::optional<std::string> After(std::string_view line, std::string_view key) {
  if (!line.starts_with(key)) return std::nullopt;
  line.remove_prefix(key.size());
  while (line.starts_with(' ')) line.remove_prefix(1);
  while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
  return std::string(line);
}

// Stanzas of "Key: value" lines with empty lines between.
class Stanzas {
 public:
  Stanzas(std::string kind, std::string_view name, std::string_view version, std::string_view arch)
      : kind_(std::move(kind)), name_(name), version_(version), arch_(arch) {}
  void Line(std::string_view line) {
    if (line.empty()) return End();
    if (auto value = After(line, name_)) now_.name = *value;
    if (auto value = After(line, version_)) now_.version = *value;
    if (auto value = After(line, arch_)) now_.arch = *value;
    if (auto value = After(line, "Status:")) installed_ = value->ends_with(" installed");
  }
  std::vector<Package> Take() {
    End();
    return std::move(found_);
  }

 private:
  void End() {
    now_.kind = kind_;
    if (installed_ && !now_.name.empty() && found_.size() < kPackagesMax) found_.push_back(std::move(now_));
    now_ = {};
    installed_ = true;
  }
  std::string kind_;
  std::string_view name_, version_, arch_;
  Package now_;
  bool installed_ = true;  // a file of status.d has no such line
  std::vector<Package> found_;
};

}  // namespace

std::vector<Package> DpkgPackages(std::string_view status) {
  Stanzas stanzas("dpkg", "Package:", "Version:", "Architecture:");
  ForLines(status, [&](std::string_view line) { stanzas.Line(line); });
  return stanzas.Take();
}

std::vector<Package> ApkPackages(std::string_view installed) {
  Stanzas stanzas("apk", "P:", "V:", "A:");
  ForLines(installed, [&](std::string_view line) { stanzas.Line(line); });
  return stanzas.Take();
}

std::vector<Package> PipPackage(std::string_view folder_name) {
  for (std::string_view suffix : {".dist-info", ".egg-info"}) {
    if (!folder_name.ends_with(suffix)) continue;
    folder_name.remove_suffix(suffix.size());
    std::size_t dash = folder_name.find('-');
    if (dash == 0 || dash == std::string_view::npos) return {};
    std::string_view version = folder_name.substr(dash + 1);
    version = version.substr(0, version.find("-py"));  // of eggs: name-version-py3.11
    return {{"pip", std::string(folder_name.substr(0, dash)), std::string(version), ""}};
  }
  return {};
}

std::vector<Package> CondaPackage(std::string_view file_name) {
  if (!file_name.ends_with(".json")) return {};
  file_name.remove_suffix(5);
  std::size_t build = file_name.rfind('-');
  if (build == 0 || build == std::string_view::npos) return {};
  std::size_t version = file_name.rfind('-', build - 1);
  if (version == 0 || version == std::string_view::npos) return {};
  return {{"conda", std::string(file_name.substr(0, version)),
           std::string(file_name.substr(version + 1, build - version - 1)), ""}};
}

}  // namespace slipway::content
