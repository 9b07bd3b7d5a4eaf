// SPDX-License-Identifier: Apache-2.0
// What ranks publish or send as events are libpmix's own values, of some fifty types; between nodes they
// travel as bytes that libpmix packs and unpacks. Internal to pmix/server.
#pragma once

#include <pmix.h>
#include <pmix_server.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "base/wire/wire.h"

namespace slipway {

// pmix_info_t's that belong to us; the values are freed with it.
class InfoArray {
 public:
  InfoArray() = default;
  InfoArray(InfoArray&& other) noexcept : infos_(std::move(other.infos_)) { other.infos_.clear(); }
  InfoArray& operator=(InfoArray&&) = delete;
  ~InfoArray();
  void Add(const char* key, const void* value, pmix_data_type_t type);
  void Text(const char* key, const std::string& value) { Add(key, value.c_str(), PMIX_STRING); }
  void Number(const char* key, std::uint32_t value) { Add(key, &value, PMIX_UINT32); }
  void True(const char* key);
  pmix_info_t* data() { return infos_.data(); }
  std::size_t size() const { return infos_.size(); }

 private:
  friend Result<InfoArray> Unpack(const struct PackedInfos& packed);
  std::vector<pmix_info_t> infos_;
};

struct PackedInfos {
  std::uint32_t count = 0;
  std::string bytes;
};
void Fields(auto& archive, IsA<PackedInfos> auto& v) { archive(v.count, v.bytes); }

Result<PackedInfos> Pack(const pmix_info_t* infos, std::size_t count);
Result<InfoArray> Unpack(const PackedInfos& packed);  // bounded by the bytes that there are

// The first of that key; nothing of it when there is none or it is of another kind.
const pmix_info_t* FindInfo(const pmix_info_t* infos, std::size_t count, const char* key);
std::int64_t NumberIn(const pmix_info_t* infos, std::size_t count, const char* key, std::int64_t otherwise);
std::string_view TextIn(const pmix_info_t* infos, std::size_t count, const char* key);  // empty: none
bool TrueIn(const pmix_info_t* infos, std::size_t count, const char* key);

}  // namespace slipway
