// SPDX-License-Identifier: Apache-2.0
// slipway sif add: from words to a descriptor.
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/images/subcommands.h"
#include "imagestore/sif/edit.h"

namespace slipway::cli {
namespace {

Result<std::int32_t> Code4(const Parsed& options, const char* option, std::span<const sif::Word> words,
                           std::int32_t base = 0) {
  if (auto code = sif::FindWord(words, options.Value(option), base)) return *code;
  std::string known;
  for (const sif::Word& word : words) known += Cat(known.empty() ? "" : ", ", word.word);
  return Fail(Code::kInvalidArgument, "slipway sif add: --", option, " must be one of ", known);
}

Result<std::uint32_t> Number(const Parsed& options, const char* option, std::uint32_t high) {
  if (!options.Has(option)) return 0U;
  auto number = ParseNumber(options.Value(option), 0, high);
  if (!number)
    return Fail(Code::kInvalidArgument, "slipway sif add: --", option, " must be a number up to ", high);
  return static_cast<std::uint32_t>(*number);
}

Result<std::string> RawFingerprint(const std::string& hex) {
  std::string raw;
  if (hex.size() == 40 && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos) {
    for (std::size_t i = 0; i < hex.size(); i += 2)
      raw.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return raw;
  }
  return Fail(Code::kInvalidArgument, "slipway sif add: --signentity must be a fingerprint of 40 hex digits");
}

Result<std::string> ExtraOf(const Parsed& options, sif::DataType type) {
  switch (type) {
    case sif::DataType::kPartition: {
      auto part = TRY(Code4(options, "parttype", sif::PartTypeWords()));
      auto fs = TRY(Code4(options, "partfs", sif::FsTypeWords()));
      auto arch = TRY(Code4(options, "partarch", sif::ArchWords()));
      std::string_view name = sif::ArchWords()[static_cast<std::size_t>(arch - 1)].word;
      return sif::PartitionExtra(static_cast<sif::FsType>(fs), static_cast<sif::PartType>(part), name);
    }
    case sif::DataType::kSignature: {
      auto hash = TRY(Code4(options, "signhash", sif::HashTypeWords()));
      return sif::SignatureExtra(static_cast<sif::HashType>(hash),
                                 TRY(RawFingerprint(options.Value("signentity"))));
    }
    case sif::DataType::kSbom: {
      auto format = TRY(Code4(options, "sbomformat", sif::SbomFormatWords()));
      return sif::SbomExtra(static_cast<sif::SbomFormat>(format));
    }
    case sif::DataType::kCryptoMessage:
      return sif::CryptoMessageExtra(sif::CryptoFormat::kPem, sif::CryptoMessage::kRsaOaep);
    default:
      return std::string();
  }
}

Result<int> Add(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  const std::string& source = options.positionals()[1];
  sif::NewObject object;
  object.type = static_cast<sif::DataType>(TRY(Code4(options, "datatype", sif::DataTypeWords(), 0x4000)));
  object.extra = TRY(ExtraOf(options, object.type));
  object.group = TRY(Number(options, "groupid", 0x0FFFFFFF));
  object.link = TRY(Number(options, "link", 0x0FFFFFFF));
  object.alignment = TRY(Number(options, "alignment", 1 << 20));
  object.name = options.Value("filename", source == "-" ? "" : source.substr(source.rfind('/') + 1));
  UniqueFd opened;
  if (source != "-") opened = TRY(Open(source, O_RDONLY));
  auto editor = TRY(sif::Editor::Open(path));
  auto id = TRY_CONTEXT(editor.AddFrom(object, source == "-" ? STDIN_FILENO : opened.get()),
                        Cat(source, " into ", path));
  if (options.Has("json")) Print(nlohmann::json{{"id", id}}.dump() + "\n");
  return 0;
}

}  // namespace

const Subcommand kSifAdd{{"sif", "add"}, DeclareSifAdd, Add};

}  // namespace slipway::cli
