// SPDX-License-Identifier: Apache-2.0
#include "cli/images/sif_json.h"

#include <nlohmann/json.hpp>

#include "imagestore/sif/show.h"

namespace slipway::cli {
namespace {

// Names come from the file and may not be UTF-8.
std::string Dump(const nlohmann::json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

nlohmann::json ObjectOf(const sif::Descriptor& d) {
  nlohmann::json json = {{"id", d.id},           {"type", sif::DataTypeName(d.type)},
                         {"offset", d.offset},   {"size", d.size},
                         {"created", d.created}, {"modified", d.modified},
                         {"group", d.group},     {"name", d.name}};
  if (d.link != 0) json[d.link_is_group ? "linked_group" : "linked_object"] = d.link;
  if (d.type == sif::DataType::kPartition) {
    json["fs_type"] = sif::FsTypeName(d.fs_type());
    json["part_type"] = sif::PartTypeName(d.part_type());
    json["arch"] = d.arch();
  } else if (d.type == sif::DataType::kSignature) {
    json["hash"] = sif::HashTypeName(d.hash_type());
    json["fingerprint"] = d.fingerprint();
  } else if (d.type == sif::DataType::kCryptoMessage) {
    json["format"] = sif::CryptoFormatName(d.crypto_format());
    json["message"] = sif::CryptoMessageName(d.crypto_message());
  } else if (d.type == sif::DataType::kSbom) {
    json["format"] = sif::SbomFormatName(d.sbom_format());
  } else if (d.type == sif::DataType::kOciBlob || d.type == sif::DataType::kOciRootIndex) {
    json["digest"] = d.oci_digest();
  }
  return json;
}

}  // namespace

std::string SifObjectJson(const sif::Descriptor& object) { return Dump(ObjectOf(object)); }

std::string SifJson(const sif::Image& image) {
  const sif::Header& h = image.header;
  nlohmann::json objects = nlohmann::json::array();
  for (const sif::Descriptor& d : image.descriptors) objects.push_back(ObjectOf(d));
  nlohmann::json header = {{"launch", h.launch},
                           {"arch", h.arch},
                           {"id", sif::UuidText(h)},
                           {"created", h.created},
                           {"modified", h.modified},
                           {"descriptors_free", h.descriptors_free},
                           {"descriptors_total", h.descriptors_total},
                           {"data_offset", h.data_offset},
                           {"data_size", h.data_size}};
  return Dump({{"header", header}, {"objects", objects}});
}

}  // namespace slipway::cli
