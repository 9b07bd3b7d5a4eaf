// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/xid.h"

#include <charconv>

#include "base/result/result.h"

namespace slipway {
namespace {

constexpr std::string_view kMark = "NVRM: Xid (";
constexpr std::size_t kGpusMax = 1024;

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// "0000:07:00", with or without PCI: before and .0 behind; as the other files of a GPU write it.
std::optional<std::string> PciOf(std::string_view text) {
  if (text.starts_with("PCI:")) text.remove_prefix(4);
  if (text.ends_with(".0")) text.remove_suffix(2);
  constexpr std::string_view kShape = "hhhh:hh:hh";
  if (text.size() != kShape.size()) return {};
  std::string pci;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'h' ? !IsHex(text[i]) : text[i] != ':') return {};
    pci += text[i] >= 'A' && text[i] <= 'F' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
  }
  return pci + ".0";
}

}  // namespace

std::optional<Xid> ParseXid(std::string_view record) {
  record = record.substr(0, record.find('\n'));  // what follows are the record's tags
  std::size_t at = record.find(kMark);
  if (at == record.npos) return {};
  // Only at the beginning of a message: a program that writes such words elsewhere is not the driver.
  std::string_view before = record.substr(0, at);
  std::size_t head = before.find(';');
  if (head != before.npos) before.remove_prefix(head + 1);
  if (!before.empty() && !(before.starts_with('[') && before.ends_with("] "))) return {};
  std::string_view rest = record.substr(at + kMark.size());
  std::size_t close = rest.find("): ");
  if (close == rest.npos) return {};
  auto pci = PciOf(rest.substr(0, close));
  std::string_view number = rest.substr(close + 3);
  Xid xid;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), xid.number);
  bool whole = error == std::errc() && (end == number.data() + number.size() || *end == ',' || *end == ' ');
  if (!pci || !whole) return {};
  xid.pci = std::move(*pci);
  return xid;
}

const char* FatalXid(std::uint32_t number) {
  switch (number) {
    case 48:
      return "an uncorrectable memory error";
    case 63:
      return "a memory row waits for a reset to be remapped";
    case 64:
      return "a memory row could not be remapped";
    case 74:
      return "an error of NVLink";
    case 79:
      return "it has fallen off the bus";
    case 95:
      return "an uncontained memory error";
    case 119:
    case 120:
      return "its system processor does not answer";
    case 140:
      return "an unrecovered memory error";
    default:
      return nullptr;
  }
}

void XidList::Note(std::string_view record) {
  auto xid = ParseXid(record);
  if (!xid || FatalXid(xid->number) == nullptr || fatal_.size() >= kGpusMax) return;
  fatal_.try_emplace(xid->pci, xid->number);
}

std::string DescribeXid(const std::string& pci, std::uint32_t number) {
  const char* what = FatalXid(number);
  return Cat("GPU ", pci, ": Xid ", number, ", ", what == nullptr ? "an error" : what,
             "; it needs a reset or a reboot");
}

}  // namespace slipway
