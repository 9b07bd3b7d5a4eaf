// SPDX-License-Identifier: Apache-2.0
#include "imagestore/content/mpi_library.h"

#include <algorithm>
#include <cctype>

namespace slipway::content {
namespace {

using Texts = std::set<std::string, std::less<>>;
constexpr std::size_t kShort = 5, kLong = 300;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "4.1.4", "4.0.2rc1": three numbers and at most a few letters and digits.
bool LooksLikeVersion(std::string_view text) {
  int numbers = 0;
  std::size_t at = 0;
  while (numbers < 4) {
    std::size_t begin = at;
    while (at < text.size() && at - begin < 5 && IsDigit(text[at])) ++at;
    if (at == begin) return false;
    ++numbers;
    if (at == text.size() || text[at] != '.') break;
    ++at;
  }
  return numbers == 3 && text.size() - at <= 6 &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(),
                     [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; });
}

// The leading part of `text` that is a version.
std::string VersionAhead(std::string_view text) {
  while (!text.empty() && !IsDigit(text.front())) text.remove_prefix(1);
  std::size_t end = 0;
  while (end < text.size() &&
         (IsDigit(text[end]) || (text[end] == '.' && end + 1 < text.size() && IsDigit(text[end + 1]))))
    ++end;
  return std::string(text.substr(0, end));
}

// What follows `phrase` in the first text that has it with a version behind it.
std::string VersionAfter(const Texts& texts, std::string_view phrase) {
  for (const std::string& text : texts) {
    std::size_t at = text.find(phrase);
    if (at == std::string::npos) continue;
    std::string_view rest = std::string_view(text).substr(at + phrase.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t:v"), rest.size()));
    if (!rest.empty() && IsDigit(rest.front())) return VersionAhead(rest);
  }
  return {};
}

// The only text that is a version and nothing else: of several, nobody knows which is whose.
std::string LoneVersion(const Texts& texts) {
  std::string only;
  for (const std::string& text : texts) {
    if (!LooksLikeVersion(text)) continue;
    if (!only.empty()) return {};
    only = text;
  }
  return only;
}

bool HasPart(const Texts& texts, std::string_view part) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

// Names of libraries that it links to are texts of their own.
bool Needs(const Texts& texts, std::string_view library) {
  auto at = texts.lower_bound(library);
  return at != texts.end() && at->starts_with(library);
}

}  // namespace

std::set<std::string, std::less<>> TextsOf(std::string_view binary) {
  Texts texts;
  for (std::size_t begin = 0, at = 0; at < binary.size(); ++at) {
    char c = binary[at];
    if ((c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n') continue;
    std::string_view text = binary.substr(begin, at - begin);
    begin = at + 1;
    if (c != '\0' || text.size() < kShort) continue;
    text = text.substr(0, kLong);
    bool says = LooksLikeVersion(text) || text.starts_with("lib") || text.find("MPI") != text.npos ||
                text.find("PMI") != text.npos || text.starts_with("MVAPICH") ||
                text.find("cmd=init") != text.npos || text.find("GNU C Library") != text.npos;
    if (says) texts.emplace(text);
  }
  return texts;
}

LibraryKind LibraryKindOf(std::string_view name) {
  auto is = [&](std::string_view stem) {
    return name.starts_with(stem) && (name.size() == stem.size() || name[stem.size()] == '.');
  };
  if (is("libmpi.so") || is("libmpich.so") || is("libmpi_cray.so") || is("libmpi_gnu_91.so") ||
      is("libmpi_intel.so"))
    return LibraryKind::kMpi;
  if (is("libpmix.so")) return LibraryKind::kPmix;
  if (name.starts_with("libcudart") && name.find(".so") != name.npos) return LibraryKind::kCudaRuntime;
  if (name == "libc.so.6") return LibraryKind::kGlibc;
  if (name.starts_with("ld-musl-")) return LibraryKind::kMusl;
  bool component =
      name.ends_with(".so") && (name.starts_with("mca_pmix_ext") || name.starts_with("mca_pmix_pmix"));
  return component ? LibraryKind::kOpenMpiPmix : LibraryKind::kNone;
}

Mpi DescribeMpi(const std::string& path, const Texts& texts) {
  Mpi mpi{.family = "unknown MPI", .path = path};
  struct Family {
    const char *name, *phrase;
  };
  // The special ones come first: they carry MPICH's texts, too.
  for (Family family : {Family{"Intel MPI", "Intel(R) MPI Library"},
                        {"Cray MPICH", "CRAY MPICH version"},
                        {"MVAPICH", "MVAPICH Version"},
                        {"MVAPICH", "MVAPICH2 Version"},
                        {"MPICH", "MPICH Version"},
                        {"Open MPI", "Open MPI v"}}) {
    if (!HasPart(texts, family.phrase)) continue;
    mpi.family = family.name;
    mpi.version = VersionAfter(texts, family.phrase);
    break;
  }
  std::string name = path.substr(path.rfind('/') + 1);
  if (mpi.family == "unknown MPI" && Needs(texts, "libopen-pal.so")) mpi.family = "Open MPI";
  if (mpi.family == "unknown MPI" && name.starts_with("libmpich.so")) mpi.family = "MPICH";
  if (mpi.version.empty() && mpi.family != "Intel MPI") mpi.version = LoneVersion(texts);
  mpi.pmix = Needs(texts, "libpmix.so") || texts.contains("PMIx_Init");
  mpi.pmi2 = Needs(texts, "libpmi2.so");
  mpi.pmi1 = Needs(texts, "libpmi.so") || texts.contains("PMI_FD");
  return mpi;
}

bool MentionsPmix(const Texts& texts) { return HasPart(texts, "PMIx_Init"); }

std::string PmixVersion(const Texts& texts) {
  std::string version = VersionAfter(texts, "OpenPMIx ");
  if (version.empty()) version = VersionAfter(texts, "PMIx ");
  return version.empty() ? LoneVersion(texts) : version;
}

std::string GlibcVersion(std::string_view bytes) {
  constexpr std::string_view kName = "GNU C Library";
  for (std::size_t at = bytes.find(kName); at != bytes.npos; at = bytes.find(kName, at + 1)) {
    std::string_view line = bytes.substr(at, bytes.find_first_of(std::string_view("\n\0", 2), at) - at);
    if (std::size_t version = line.find(" version "); version != line.npos)
      return VersionAhead(line.substr(version));
  }
  return {};
}

std::string VersionOfName(std::string_view name) {
  std::size_t so = name.rfind(".so.");
  if (so == std::string_view::npos) return {};
  std::string_view version = name.substr(so + 4);
  return VersionAhead(version) == version ? std::string(version) : std::string();
}

std::string BetterVersion(std::string a, std::string b) {
  auto numbers = [](const std::string& v) { return std::count(v.begin(), v.end(), '.'); };
  if (a.empty() || b.empty()) return a.empty() ? b : a;
  if (numbers(a) != numbers(b)) return numbers(a) > numbers(b) ? a : b;
  return std::max(a, b);
}

}  // namespace slipway::content
