// SPDX-License-Identifier: Apache-2.0
// A recursive descent, bounded in length and depth: the text comes from users.
#include "scheduler/core/constraint.h"

#include <algorithm>
#include <utility>

namespace slipway::scheduler {
namespace {

constexpr std::size_t kBytesMax = 1024;
constexpr int kDepthMax = 32;
constexpr std::uint32_t kNodesMax = 1'000'000;

bool InName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.' || c == ':' || c == '=';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  // TERM {& TERM}, where a term may be counted or bracketed; | binds less and allows neither.
  Result<Constraint> Parse() {
    std::vector<FeatureTest> ors, ands;
    bool special = false, any_or = false;
    do {
      ands.clear();
      do {
        if (Take('[')) {
          special = true;
          TRY(ParseOneOf());
          continue;
        }
        FeatureTest term = TRY(ParseNot(0));
        if (Take('*')) {
          special = true;
          std::uint32_t nodes = TRY(ParseNumber());
          out_.counts.push_back({std::move(term), nodes});
        } else {
          ands.push_back(std::move(term));
        }
      } while (Take('&') || Take(','));
      ors.push_back({FeatureTest::Kind::kAnd, "", std::move(ands)});
      any_or = any_or || Peek() == '|';
    } while (Take('|'));
    if (at_ != text_.size()) return Wrong("& or | is wanted");
    if (special && any_or) return Wrong("counts and [...] cannot be joined by |");
    if (!out_.counts.empty() && !out_.one_of.empty()) return Wrong("counts and [...] cannot be mixed");
    out_.every =
        ors.size() == 1 ? std::move(ors.front()) : FeatureTest{FeatureTest::Kind::kOr, "", std::move(ors)};
    return std::move(out_);
  }

 private:
  template <class... Why>
  Failure Wrong(const Why&... why) {
    return Fail(Code::kInvalidArgument, "constraint \"", text_, "\": ", why..., " at character ", at_ + 1);
  }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Take(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  Result<> ParseOneOf() {
    if (!out_.one_of.empty()) return Wrong("there is more than one [...]");
    do {
      out_.one_of.push_back(TRY(ParseAnd(1)));
    } while (Take('|'));
    if (!Take(']')) return Wrong("] is wanted");
    return {};
  }
  Result<FeatureTest> ParseOr(int depth) {
    FeatureTest test{FeatureTest::Kind::kOr, "", {}};
    do {
      test.parts.push_back(TRY(ParseAnd(depth)));
    } while (Take('|'));
    return test.parts.size() == 1 ? std::move(test.parts.front()) : std::move(test);
  }
  Result<FeatureTest> ParseAnd(int depth) {
    FeatureTest test{FeatureTest::Kind::kAnd, "", {}};
    do {
      test.parts.push_back(TRY(ParseNot(depth)));
    } while (Take('&') || Take(','));
    return test.parts.size() == 1 ? std::move(test.parts.front()) : std::move(test);
  }
  Result<FeatureTest> ParseNot(int depth) {
    if (depth > kDepthMax) return Wrong("nested too deeply");
    if (Take('!')) {
      FeatureTest inner = TRY(ParseNot(depth + 1));
      FeatureTest test{FeatureTest::Kind::kNot, "", {}};
      test.parts.push_back(std::move(inner));
      return test;
    }
    if (Take('(')) {
      FeatureTest inner = TRY(ParseOr(depth + 1));
      if (!Take(')')) return Wrong(") is wanted");
      return inner;
    }
    std::size_t begin = at_;
    while (at_ < text_.size() && InName(text_[at_])) ++at_;
    if (at_ == begin) return Wrong("a feature is wanted");
    std::string name(text_.substr(begin, at_ - begin));
    out_.features.insert(name);
    return FeatureTest{FeatureTest::Kind::kFeature, std::move(name), {}};
  }
  Result<std::uint32_t> ParseNumber() {
    std::uint64_t number = 0;
    std::size_t begin = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9' && number <= kNodesMax; ++at_)
      number = 10 * number + static_cast<std::uint64_t>(text_[at_] - '0');
    if (at_ == begin || number == 0 || number > kNodesMax) return Wrong("a number of nodes is wanted");
    return static_cast<std::uint32_t>(number);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Constraint out_;
};

}  // namespace

bool FeatureTest::Holds(const std::set<std::string>& features) const {
  auto holds = [&](const FeatureTest& part) { return part.Holds(features); };
  switch (kind) {
    case Kind::kFeature:
      return features.contains(feature);
    case Kind::kNot:
      return !parts.front().Holds(features);
    case Kind::kAnd:
      return std::ranges::all_of(parts, holds);
    case Kind::kOr:
      return std::ranges::any_of(parts, holds);
  }
  return false;
}

Result<Constraint> ParseConstraint(std::string_view text) {
  if (text.empty()) return Constraint{};
  if (text.size() > kBytesMax)
    return Fail(Code::kInvalidArgument, "constraint: longer than ", kBytesMax, " bytes");
  return Parser(text).Parse();
}

}  // namespace slipway::scheduler
