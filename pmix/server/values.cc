// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/values.h"

#include <cstdlib>
#include <cstring>

namespace slipway {
namespace {

// Frees what libpmix allocated in it.
struct Buffer {
  pmix_data_buffer_t data{};
  ~Buffer() { std::free(data.base_ptr); }
};

}  // namespace

InfoArray::~InfoArray() {
  for (pmix_info_t& info : infos_) PMIx_Value_destruct(&info.value);
}

void InfoArray::Add(const char* key, const void* value, pmix_data_type_t type) {
  infos_.emplace_back();
  std::memset(&infos_.back(), 0, sizeof(pmix_info_t));
  PMIx_Info_load(&infos_.back(), key, value, type);
}

void InfoArray::True(const char* key) {
  bool yes = true;
  Add(key, &yes, PMIX_BOOL);
}

Result<PackedInfos> Pack(const pmix_info_t* infos, std::size_t count) {
  Buffer buffer;
  PackedInfos packed{.count = static_cast<std::uint32_t>(count)};
  if (count == 0) return packed;
  pmix_status_t status = PMIx_Data_pack(nullptr, &buffer.data, const_cast<pmix_info_t*>(infos),
                                        static_cast<std::int32_t>(count), PMIX_INFO);
  if (status != PMIX_SUCCESS) return Fail(Code::kInternal, "PMIx_Data_pack: ", PMIx_Error_string(status));
  packed.bytes.assign(buffer.data.base_ptr, buffer.data.bytes_used);
  return packed;
}

Result<InfoArray> Unpack(const PackedInfos& packed) {
  InfoArray array;
  if (packed.count == 0) return array;
  if (packed.count > packed.bytes.size()) return Fail(Code::kInvalidArgument, "more values than bytes");
  Buffer buffer;
  buffer.data.base_ptr = static_cast<char*>(std::malloc(packed.bytes.size()));
  std::memcpy(buffer.data.base_ptr, packed.bytes.data(), packed.bytes.size());
  buffer.data.unpack_ptr = buffer.data.base_ptr;
  buffer.data.pack_ptr = buffer.data.base_ptr + packed.bytes.size();
  buffer.data.bytes_allocated = buffer.data.bytes_used = packed.bytes.size();
  array.infos_.resize(packed.count);
  std::memset(array.infos_.data(), 0, packed.count * sizeof(pmix_info_t));
  auto count = static_cast<std::int32_t>(packed.count);
  pmix_status_t status = PMIx_Data_unpack(nullptr, &buffer.data, array.infos_.data(), &count, PMIX_INFO);
  if (status != PMIX_SUCCESS)
    return Fail(Code::kInvalidArgument, "PMIx_Data_unpack: ", PMIx_Error_string(status));
  return array;
}

const pmix_info_t* FindInfo(const pmix_info_t* infos, std::size_t count, const char* key) {
  for (std::size_t i = 0; i < count; ++i) {
    if (std::strncmp(infos[i].key, key, PMIX_MAX_KEYLEN) == 0) return &infos[i];
  }
  return nullptr;
}

std::int64_t NumberIn(const pmix_info_t* infos, std::size_t count, const char* key, std::int64_t otherwise) {
  const pmix_info_t* info = FindInfo(infos, count, key);
  if (info == nullptr) return otherwise;
  switch (info->value.type) {
    case PMIX_INT:
      return info->value.data.integer;
    case PMIX_INT32:
      return info->value.data.int32;
    case PMIX_UINT:
      return info->value.data.uint;
    case PMIX_UINT32:
      return info->value.data.uint32;
    case PMIX_SIZE:
      return static_cast<std::int64_t>(info->value.data.size);
    case PMIX_DATA_RANGE:
      return info->value.data.range;
    case PMIX_PERSIST:
      return info->value.data.persist;
    case PMIX_BOOL:
      return info->value.data.flag ? 1 : 0;
    default:
      return otherwise;
  }
}

std::string_view TextIn(const pmix_info_t* infos, std::size_t count, const char* key) {
  const pmix_info_t* info = FindInfo(infos, count, key);
  if (info == nullptr || info->value.type != PMIX_STRING || info->value.data.string == nullptr) return {};
  return info->value.data.string;
}

bool TrueIn(const pmix_info_t* infos, std::size_t count, const char* key) {
  const pmix_info_t* info = FindInfo(infos, count, key);
  if (info == nullptr) return false;
  return info->value.type == PMIX_UNDEF || (info->value.type == PMIX_BOOL && info->value.data.flag);
}

}  // namespace slipway
