// SPDX-License-Identifier: Apache-2.0
#include "imagestore/content/mpi_doctor.h"

#include <cstdlib>

namespace slipway::content {
namespace {

constexpr int kOldestPmix = 2;

std::string NameOf(const Mpi& mpi) {
  return Cat(mpi.family, mpi.version.empty() ? "" : " ", mpi.version, " (", mpi.path, ")");
}

bool PmixIsTooOld(const Mpi& mpi) {
  return !mpi.pmix_version.empty() && std::atoi(mpi.pmix_version.c_str()) < kOldestPmix;
}

std::string Speaks(const Mpi& mpi) {
  std::string what;
  auto add = [&](bool has, std::string name) {
    if (has) what += (what.empty() ? "" : " and ") + name;
  };
  add(mpi.pmix, Cat("PMIx", mpi.pmix_version.empty() ? "" : " ", mpi.pmix_version));
  add(mpi.pmi2, "PMI-2");
  add(mpi.pmi1, "PMI-1");
  return what.empty() ? "neither PMIx nor PMI" : what;
}

// What would have to be in the image.
std::string CureFor(const Mpi& mpi) {
  if (PmixIsTooOld(mpi)) return "use an MPI with PMIx 2 or newer, such as Open MPI 4";
  if (mpi.family == "Open MPI")
    return "use an Open MPI that was built with PMIx (--with-pmix), such as Debian's or version 4 and newer";
  if (mpi.family == "MPICH" || mpi.family == "MVAPICH")
    return "use an MPICH that was built with its simple PMI (--with-pmi=simple) or PMIx (--with-pmix)";
  return "use an image with Open MPI 4 or newer, or MPICH";
}

}  // namespace

MpiVerdict Diagnose(const Mpi& mpi, WireUp asked) {
  MpiVerdict verdict;
  bool pmix = mpi.pmix && !PmixIsTooOld(mpi), pmi = mpi.pmi1 || mpi.pmi2;
  if (pmix && asked != WireUp::kPmi) verdict.how = "PMIx";
  if (verdict.how.empty() && pmi && asked != WireUp::kPmix) verdict.how = mpi.pmi1 ? "PMI-1" : "PMI-2";
  verdict.can = !verdict.how.empty();
  verdict.says = Cat(NameOf(mpi), " speaks ", Speaks(mpi));
  if (verdict.can) {
    verdict.says += Cat("; it is started by ", verdict.how);
  } else if (asked == WireUp::kPmix && pmi) {
    verdict.says += ", not PMIx";
    verdict.cure = "say --mpi=pmi2, or leave --mpi out";
  } else if (asked == WireUp::kPmi && pmix) {
    verdict.says += ", not PMI";
    verdict.cure = "say --mpi=pmix, or leave --mpi out";
  } else {
    verdict.says += "; this cluster starts PMIx 2 and newer, PMI-1 and PMI-2";
    verdict.cure = CureFor(mpi);
  }
  return verdict;
}

std::optional<std::string> WhyNot(const std::vector<Mpi>& all, WireUp asked) {
  std::optional<std::string> why;
  for (const Mpi& mpi : all) {
    MpiVerdict verdict = Diagnose(mpi, asked);
    if (verdict.can) return std::nullopt;
    if (!why) why = Cat(verdict.says, "; ", verdict.cure);
  }
  return why;
}

}  // namespace slipway::content
