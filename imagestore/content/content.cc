// SPDX-License-Identifier: Apache-2.0
#include "imagestore/content/content.h"

#include <algorithm>

#include "base/text/text.h"

namespace slipway::content {
namespace {

bool IsPlain(const std::string& text) {
  return text.size() <= kTextMax && std::all_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
         });
}

void MakePlain(std::string& text) {
  if (text.size() > kTextMax) text.resize(kTextMax);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; },
      '?');
}

// Calls `each` with every text of it.
template <class C, class Each>
void ForTexts(C& content, Each each) {
  for (auto* text : {&content.arch, &content.system, &content.libc, &content.pmix, &content.cuda})
    each(*text);
  for (auto& mpi : content.mpi)
    for (auto* text : {&mpi.family, &mpi.version, &mpi.path, &mpi.pmix_version}) each(*text);
  for (auto& package : content.packages)
    for (auto* text : {&package.kind, &package.name, &package.version, &package.arch}) each(*text);
  for (auto& [key, value] : content.labels) {
    each(key);
    each(value);
  }
  for (auto& note : content.notes) each(note);
}

template <class List>
void Cut(List& list, std::size_t most) {
  if (list.size() > most) list.resize(most);
}

}  // namespace

Content Bounded(Content content) {
  ForTexts(content, MakePlain);
  std::sort(content.packages.begin(), content.packages.end());
  content.packages.erase(std::unique(content.packages.begin(), content.packages.end()),
                         content.packages.end());
  if (content.packages.size() > kPackagesMax)
    content.notes.insert(content.notes.begin(),
                         Cat("of ", content.packages.size(), " packages ", kPackagesMax, " are listed"));
  Cut(content.packages, kPackagesMax);
  Cut(content.labels, kLabelsMax);
  Cut(content.mpi, kMpisMax);
  Cut(content.notes, kNotesMax);
  return content;
}

std::string EncodeContent(const Content& content) { return Encode(Bounded(content)); }

Result<Content> DecodeContent(std::string_view bytes) {
  if (bytes.size() > kContentBytesMax)
    return Fail(Code::kInvalidArgument, "what is inside the image is told in ", bytes.size(), " bytes");
  Content content = TRY(Decode<Content>(bytes, "the image's content"));
  bool plain = content.format == 1 && content.packages.size() <= kPackagesMax &&
               content.labels.size() <= kLabelsMax && content.mpi.size() <= kMpisMax &&
               content.notes.size() <= kNotesMax &&
               std::is_sorted(content.packages.begin(), content.packages.end());
  ForTexts(content, [&](const std::string& text) { plain = plain && IsPlain(text); });
  if (!plain) return Fail(Code::kInvalidArgument, "what is inside the image is told in a form nobody wrote");
  return content;
}

}  // namespace slipway::content
