// SPDX-License-Identifier: Apache-2.0
#include "base/os/fd.h"
#include "cli/gpu/subcommands.h"
#include "hooks/cdi/write_cdi.h"

namespace slipway::cli {
namespace {

Result<GpuVendor> VendorOf(const std::string& word, const GpuSupport& support) {
  if (word == "nvidia") return GpuVendor::kNvidia;
  if (word == "amd") return GpuVendor::kAmd;
  if (word == "intel") return GpuVendor::kIntel;
  if (!word.empty())
    return Fail(Code::kInvalidArgument, "slipway gpu cdi: --vendor is nvidia, amd or intel, not '", word,
                "'");
  const auto& drivers = support.inventory.drivers;
  if (drivers.empty())
    return Fail(Code::kNotFound, "slipway gpu cdi: no GPU on this host",
                support.inventory.notes.empty() ? "" : ": " + support.inventory.notes[0]);
  if (drivers.size() > 1)
    return Fail(Code::kInvalidArgument,
                "slipway gpu cdi: there are GPUs of several makers; a file is of one: say --vendor");
  return drivers[0].vendor;
}

Result<int> Cdi(const Parsed& options) {
  GpuSupport support = TRY(LookAtHost(options.Value("host-root")));
  GpuVendor vendor = TRY(VendorOf(options.Value("vendor"), support));
  std::string json = CdiJson(TRY_CONTEXT(CdiOf(support, vendor), "slipway gpu cdi"));
  std::string file = options.Value("output");
  if (file.empty())
    Print(json);
  else
    TRY_CONTEXT(WriteFileAtomically(file, json), "slipway gpu cdi");
  return 0;
}

}  // namespace

const Subcommand kGpuCdi{{kGpuWord, "cdi"}, DeclareGpuCdi, Cdi};

}  // namespace slipway::cli
