// SPDX-License-Identifier: Apache-2.0
#include "pmix/pmi/wire.h"

#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr std::size_t kLengthDigits = 6;

// "name=value"; a line's value may hold anything but a line end.
Result<> AddPair(PmiRequest& request, std::string_view text) {
  auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return Fail(Code::kInvalidArgument, "not NAME=VALUE: ", text.substr(0, 40));
  if (request.pairs.size() >= kPmiPairsMax)
    return Fail(Code::kInvalidArgument, "more than ", kPmiPairsMax, " pairs in one command");
  std::string_view name = text.substr(0, equals);
  if ((name == "cmd" || name == "mcmd") && request.command.empty()) {
    request.command = text.substr(equals + 1);
  } else {
    request.pairs.emplace_back(name, text.substr(equals + 1));
  }
  return {};
}

// Values have no spaces, except that the last pair of a put is its value, whatever it holds.
Result<PmiRequest> ParseLine(std::string_view line) {
  PmiRequest request;
  while (!(line = Trim(line)).empty()) {
    auto end = request.command == "put" && line.starts_with("value=") ? line.size() : line.find(' ');
    TRY(AddPair(request, line.substr(0, end)));
    line.remove_prefix(std::min(end, line.size()));
  }
  return request;
}

// A spawn of PMI-1 has one pair a line, and values with spaces.
Result<PmiRequest> ParseLines(std::string_view text) {
  PmiRequest request;
  for (const std::string& line : Split(text, '\n')) {
    if (!line.empty()) TRY(AddPair(request, line));
  }
  return request;
}

// "a=1;b=2;"; a semicolon within a value is doubled.
Result<PmiRequest> ParsePairs(std::string_view text) {
  PmiRequest request;
  std::string pair;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ';') {
      pair += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ';') {
      pair += text[i++];
    } else {
      TRY(AddPair(request, pair));
      pair.clear();
    }
  }
  if (!pair.empty()) TRY(AddPair(request, pair));
  return request;
}

Result<std::optional<PmiRequest>> Checked(Result<PmiRequest> request) {
  if (!request) return Failure(std::move(request).error().Context("PMI"));
  if (request->command.empty()) return Fail(Code::kInvalidArgument, "PMI: a request without a command");
  return std::move(*request);
}

}  // namespace

const std::string* PmiRequest::Find(std::string_view name) const {
  for (auto& [key, value] : pairs) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string PmiRequest::Get(std::string_view name) const {
  const std::string* value = Find(name);
  return value == nullptr ? std::string() : *value;
}

Result<> PmiReader::Feed(std::string_view bytes) {
  if (bytes_.size() + bytes.size() > 2 * kPmiRequestBytesMax)
    return Fail(Code::kResourceExhausted, "PMI: more than was asked for");
  bytes_ += bytes;
  return {};
}

Result<std::optional<PmiRequest>> PmiReader::Next() {
  return version_ == PmiVersion::k1 ? NextLine() : NextFramed();
}

Result<std::optional<PmiRequest>> PmiReader::NextLine() {
  constexpr std::string_view kEnd = "\nendcmd\n";
  bool several = bytes_.starts_with("mcmd=");
  auto end = several ? bytes_.find(kEnd) : bytes_.find('\n');
  if (end == std::string::npos) {
    if (bytes_.size() > kPmiRequestBytesMax)
      return Fail(Code::kInvalidArgument, "PMI: a command of more than ", kPmiRequestBytesMax, " bytes");
    return std::nullopt;
  }
  std::string text = bytes_.substr(0, end);
  bytes_.erase(0, end + (several ? kEnd.size() : 1));
  return Checked(several ? ParseLines(text) : ParseLine(text));
}

Result<std::optional<PmiRequest>> PmiReader::NextFramed() {
  if (bytes_.size() < kLengthDigits) return std::nullopt;
  auto length = ParseNumber(Trim(bytes_.substr(0, kLengthDigits)), 1, kPmiRequestBytesMax);
  if (!length) return Failure(std::move(length).error().Context("PMI: length of a command"));
  if (bytes_.size() < kLengthDigits + *length) return std::nullopt;
  std::string text = bytes_.substr(kLengthDigits, *length);
  bytes_.erase(0, kLengthDigits + *length);
  return Checked(ParsePairs(text));
}

PmiReply::PmiReply(PmiVersion version, std::string_view command) : version_(version) {
  text_ = Cat("cmd=", command);
  if (version_ == PmiVersion::k2) text_ += ';';
}

PmiReply& PmiReply::Add(std::string_view name, std::string_view value) {
  if (version_ == PmiVersion::k1) {
    text_ += Cat(' ', name, '=', value);
    return *this;
  }
  text_ += Cat(name, '=');
  for (char c : value) text_ += c == ';' ? std::string(";;") : std::string(1, c);
  text_ += ';';
  return *this;
}

std::string PmiReply::Take() {
  if (version_ == PmiVersion::k1) return text_ + '\n';
  std::string length = std::to_string(text_.size());
  return std::string(kLengthDigits - length.size(), ' ') + length + text_;
}

}  // namespace slipway
