// SPDX-License-Identifier: Apache-2.0
#include "imagestore/sif/show.h"

#include <algorithm>
#include <ctime>

#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway::sif {

namespace {

std::string Padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

// Names come from the file: they must not drive the terminal.
std::string Printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; },
      '?');
  return text;
}

std::string TypeText(const Descriptor& d) {
  std::string text(DataTypeName(d.type));
  switch (d.type) {
    case DataType::kPartition:
      return text + Cat(" (", FsTypeName(d.fs_type()), "/", PartTypeName(d.part_type()), "/", d.arch(), ")");
    case DataType::kSignature:
      return text + Cat(" (", HashTypeName(d.hash_type()), ")");
    case DataType::kCryptoMessage:
      return text +
             Cat(" (", CryptoFormatName(d.crypto_format()), "/", CryptoMessageName(d.crypto_message()), ")");
    case DataType::kSbom:
      return text + Cat(" (", SbomFormatName(d.sbom_format()), ")");
    default:
      return text;
  }
}

std::string Lines(const std::vector<std::pair<std::string, std::string>>& rows, std::string_view indent) {
  std::size_t width = 0;
  for (auto& [label, value] : rows) width = std::max(width, label.size());
  std::string out;
  for (auto& [label, value] : rows) {
    if (!value.empty()) out += Cat(indent, Padded(label + ":", width + 2), Printable(value), "\n");
  }
  return out;
}

std::string LinkText(const Descriptor& d) {
  return d.link == 0 ? "NONE" : d.link_is_group ? Cat(d.link, " (G)") : Cat(d.link);
}

}  // namespace

std::string TimeText(std::int64_t seconds) {
  constexpr std::int64_t kGoZero = -62135596800;
  if (seconds == kGoZero) return {};
  std::tm parts{};
  std::time_t time = seconds;
  char text[64];
  if (::gmtime_r(&time, &parts) == nullptr || std::strftime(text, sizeof text, "%F %T UTC", &parts) == 0)
    return Cat(seconds);
  return text;
}

std::string UuidText(const Header& header) {
  if (std::all_of(header.uuid.begin(), header.uuid.end(), [](auto byte) { return byte == 0; })) return {};
  std::string hex = Hex({reinterpret_cast<const char*>(header.uuid.data()), header.uuid.size()});
  for (std::size_t at : {20, 16, 12, 8}) hex.insert(at, "-");
  return hex;
}

std::string ListText(const Image& image) {
  std::string rule(78, '-');
  std::string out = Cat(rule, "\n", Padded("ID", 5), Padded("|GROUP", 9), Padded("|LINK", 9),
                        Padded("|SIF POSITION (start-end)", 27), "|TYPE\n", rule, "\n");
  for (const Descriptor& d : image.descriptors) {
    std::string group = d.group == 0 ? "NONE" : Cat(d.group);
    out += Cat(Padded(Cat(d.id), 5), Padded("|" + group, 9), Padded("|" + LinkText(d), 9),
               Padded(Cat("|", d.offset, "-", d.offset + d.size), 27), "|", TypeText(d), "\n");
  }
  return out;
}

std::string HeaderText(const Image& image) {
  const Header& h = image.header;
  return Lines({{"Launch Script", std::string(Trim(h.launch))},
                {"Version", "01"},
                {"Primary Architecture", h.arch == "unknown" ? "" : h.arch},
                {"ID", UuidText(h)},
                {"Created At", TimeText(h.created)},
                {"Modified At", TimeText(h.modified)},
                {"Descriptors Free", Cat(h.descriptors_free)},
                {"Descriptors Total", Cat(h.descriptors_total)},
                {"Descriptors Offset", Cat(h.table_offset)},
                {"Descriptors Size", FormatBytes(h.table_size)},
                {"Data Offset", Cat(h.data_offset)},
                {"Data Size", FormatBytes(h.data_size)}},
               "");
}

std::string InfoText(const Descriptor& d) {
  std::vector<std::pair<std::string, std::string>> rows = {{"Data Type", std::string(DataTypeName(d.type))},
                                                           {"ID", Cat(d.id)},
                                                           {"Group ID", d.group == 0 ? "NONE" : Cat(d.group)},
                                                           {"Linked ID", LinkText(d)},
                                                           {"Offset", Cat(d.offset)},
                                                           {"Size", Cat(d.size)},
                                                           {"Created At", TimeText(d.created)},
                                                           {"Modified At", TimeText(d.modified)},
                                                           {"Name", d.name}};
  auto add = [&](const char* label, std::string_view value) { rows.emplace_back(label, std::string(value)); };
  if (d.type == DataType::kPartition) {
    add("Filesystem Type", FsTypeName(d.fs_type()));
    add("Partition Type", PartTypeName(d.part_type()));
    add("Architecture", d.arch());
  } else if (d.type == DataType::kSignature) {
    add("Hash Type", HashTypeName(d.hash_type()));
    add("Entity", d.fingerprint());
  } else if (d.type == DataType::kCryptoMessage) {
    add("Format Type", CryptoFormatName(d.crypto_format()));
    add("Message Type", CryptoMessageName(d.crypto_message()));
  } else if (d.type == DataType::kSbom) {
    add("Format", SbomFormatName(d.sbom_format()));
  } else if (d.type == DataType::kOciBlob || d.type == DataType::kOciRootIndex) {
    add("Digest", d.oci_digest());
  }
  return Lines(rows, "  ");
}

}  // namespace slipway::sif
