// SPDX-License-Identifier: Apache-2.0
// slipway cache ls | clean: what pulls and builds have kept in the user's own cache.
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/text/units.h"
#include "cli/images/subcommands.h"
#include "cli/show/table.h"
#include "imagestore/oci/blob_cache.h"

namespace slipway::cli {
namespace {

constexpr std::int64_t kDayS = 86400;

nlohmann::json ItemsJson(const std::string& folder, const std::vector<oci::BlobCache::Item>& items) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& item : items)
    list.push_back({{"type", item.kind}, {"name", item.name}, {"bytes", item.bytes}, {"used", item.used}});
  return {{"folder", folder}, {"items", list}};
}

void Show(const Parsed& options, const std::string& folder, const std::vector<oci::BlobCache::Item>& items,
          const char* what) {
  if (options.Has("json")) return Print(ItemsJson(folder, items).dump() + "\n");
  Table table({{"TYPE"}, {"NAME"}, {"SIZE", true}, {"USED"}});
  std::uint64_t bytes = 0;
  for (const auto& item : items) {
    table.Add({item.kind, item.name.substr(0, 28), FormatBytes(item.bytes), FormatMoment(item.used * 1000)});
    bytes += item.bytes;
  }
  if (!items.empty()) Print(table.Text(WantsColour(1)));
  Print(Cat(FormatBytes(bytes), what, folder, "\n"));
}

Result<int> Ls(const Parsed& options) {
  std::string folder = TRY(oci::BlobCache::DefaultFolder());
  oci::BlobCache cache = TRY(oci::BlobCache::Open(folder));
  Show(options, folder, TRY(cache.Items()), " in ");
  return 0;
}

Result<int> Clean(const Parsed& options) {
  std::string folder = TRY(oci::BlobCache::DefaultFolder()), kind = options.Value("type");
  if (!kind.empty() && kind != "layer" && kind != "image" && kind != "build")
    return Fail(Code::kInvalidArgument, "slipway cache clean: --type is layer, image or build, not '", kind,
                "'");
  std::int64_t until = std::time(nullptr) + kDayS;
  if (options.Has("days"))
    until = std::time(nullptr) - kDayS * static_cast<std::int64_t>(TRY_CONTEXT(
                                             ParseNumber(options.Value("days"), 0, 36500), "--days"));
  oci::BlobCache cache = TRY(oci::BlobCache::Open(folder));
  std::vector<oci::BlobCache::Item> gone;
  for (const auto& item : TRY(cache.Items())) {
    if ((!kind.empty() && item.kind != kind) || item.used > until) continue;
    if (options.Has("dry-run") || TRY(cache.Remove(item))) gone.push_back(item);
  }
  Show(options, folder, gone, options.Has("dry-run") ? " would go from " : " gone from ");
  return 0;
}

}  // namespace

const Subcommand kCacheLs{{"cache", "ls"}, DeclareCacheLs, Ls},
    kCacheClean{{"cache", "clean"}, DeclareCacheClean, Clean},
    kCacheList{{"cache", "list"}, DeclareCacheLs, Ls, 1, true};  // Apptainer's word

}  // namespace slipway::cli
