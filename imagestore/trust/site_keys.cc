// SPDX-License-Identifier: Apache-2.0
#include "imagestore/trust/site_keys.h"

#include <optional>
#include <string>

#include "imagestore/trust/dsse.h"
#include "imagestore/trust/openpgp.h"

namespace slipway::trust {
namespace {

constexpr std::string_view kBegin = "-----BEGIN ", kDashes = "-----";

// The next block with its two lines, and where it ends. nullopt: there is none; a block without an end is one
// that reaches to the end of the text, which no decoder takes.
struct Block {
  std::string_view label, text;
  std::size_t end = 0;
};
std::optional<Block> NextBlock(std::string_view all, std::size_t from) {
  std::size_t begin = all.find(kBegin, from);
  if (begin == std::string_view::npos) return std::nullopt;
  std::size_t label = begin + kBegin.size(), label_end = all.find(kDashes, label);
  if (label_end == std::string_view::npos) return Block{"", all.substr(begin), all.size()};
  Block block{.label = all.substr(label, label_end - label), .end = all.size()};
  std::string closing = Cat("-----END ", block.label, kDashes);
  if (std::size_t at = all.find(closing, label_end); at != std::string_view::npos)
    block.end = at + closing.size();
  block.text = all.substr(begin, block.end - begin);
  return block;
}

}  // namespace

Result<std::vector<std::unique_ptr<Checker>>> SiteKeys(std::string_view text) {
  if (text.size() > kSiteKeysMax)
    return Fail(Code::kInvalidArgument, "the site's keys are more than ", kSiteKeysMax, " bytes");
  std::vector<std::unique_ptr<Checker>> checkers;
  std::string pgp;
  int number = 0;
  for (std::size_t at = 0;;) {
    auto block = NextBlock(text, at);
    if (!block) break;
    at = block->end;
    ++number;
    if (block->label == "PGP PUBLIC KEY BLOCK") {
      pgp += Cat(block->text, "\n");
    } else if (block->label == "PUBLIC KEY") {
      checkers.push_back(TRY_CONTEXT(PemTextChecker(Cat(block->text, "\n"), Cat("site key ", number)),
                                     Cat("block ", number, " of the site's keys")));
    } else {
      return Fail(Code::kInvalidArgument, "block ", number, " of the site's keys is \"",
                  block->label.substr(0, 60), "\"; PGP PUBLIC KEY BLOCK and PUBLIC KEY are read");
    }
  }
  if (number == 0) return Fail(Code::kInvalidArgument, "there is no key among the site's keys");
  if (!pgp.empty()) checkers.push_back(TRY_CONTEXT(OpenPgpChecker(pgp), "the site's keys"));
  return checkers;
}

}  // namespace slipway::trust
