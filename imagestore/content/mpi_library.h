// SPDX-License-Identifier: Apache-2.0
// Which MPI a library is, and what can start it, told from the texts in it. A library is never loaded; its
// file name alone does not say enough (libmpi.so.12 is MPICH's, Intel's, Cray's or an old Open MPI's).
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "imagestore/content/content.h"

namespace slipway::content {

// The texts of a binary that can say something: printable, with a zero byte behind; of long ones the
// beginning.
std::set<std::string, std::less<>> TextsOf(std::string_view binary);

enum class LibraryKind { kNone, kMpi, kPmix, kCudaRuntime, kGlibc, kMusl, kOpenMpiPmix };
// By the file's name, links and development names ("libmpi.so") included.
LibraryKind LibraryKindOf(std::string_view file_name);

// `path` is the library's, `texts` are TextsOf it. What Open MPI keeps in other files (its PMIx components)
// is for the caller to add.
Mpi DescribeMpi(const std::string& path, const std::set<std::string, std::less<>>& texts);
// That Open MPI's core calls PMIx, its own copy (whose functions have a prefix) or another's.
bool MentionsPmix(const std::set<std::string, std::less<>>& texts);
std::string PmixVersion(const std::set<std::string, std::less<>>& texts);  // "4.2.2"; empty: none found
// "2.36", of the bytes of a C library; looked for in place, because every start with GPUs asks.
std::string GlibcVersion(std::string_view bytes);
// "12.4.127" of "libcudart.so.12.4.127"; empty when the name says none.
std::string VersionOfName(std::string_view file_name);
// Of two, the one that says more: the longer, then the greater.
std::string BetterVersion(std::string a, std::string b);

}  // namespace slipway::content
