// SPDX-License-Identifier: Apache-2.0
#include "cli/edits/gpus.h"

#include <algorithm>
#include <optional>

#include "cli/edits/image_libraries.h"
#include "hooks/cdi/cdi_spec.h"
#include "hooks/cdi/devices.h"
#include "hooks/gpu/nvml.h"
#include "hooks/gpu/support.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kDriverDeadline{20};

class Gpus {
 public:
  Gpus(EditsRequest& request, const std::vector<std::string>& folders, EditsAnswer& answer)
      : request_(request), folders_(folders), answer_(answer) {}

  Result<> Add() {
    TRY(TakeDevices());
    if (request_.gpus.nvidia) TRY_CONTEXT(AddAll(GpuVendor::kNvidia), "--nv");
    if (request_.gpus.amd) TRY_CONTEXT(AddAll(GpuVendor::kAmd), "--rocm");
    if (!request_.gpus.nvidia && !request_.gpus.amd && request_.gpus.count != 0)
      TRY_CONTEXT(AddOfAnyVendor(), "--gpus");
    if (chosen_.empty()) return {};
    ImageLibraries image = LibrariesOfImage(request_.gpus);
    ContainerEdits edits = TRY(EditsOfUnits(*support_, chosen_, image, name_them_, answer_.warnings));
    return MergeEdits(answer_.edits, edits);
  }

 private:
  Result<bool> SiteSpeaksOf(GpuVendor vendor) {
    return !TRY(DevicesOfKind(CdiKindOf(vendor), folders_)).empty();
  }

  Result<> Find() {
    if (support_) return {};
    const GpuWish& wish = request_.gpus;
    HostTree host = TRY(HostTree::At(wish.host.empty() ? "/" : wish.host));
    std::unique_ptr<NvmlSource> nvml = MakeNvml(NvmlLibraryOf(host));
    NvmlInChild patient(*nvml, kDriverDeadline);
    // A recorded tree has no driver that would answer.
    NvmlSource* source = host.recorded() ? nullptr : &patient;
    support_ = wish.cache_file.empty() ? FindGpuSupport(host, source)
                                       : CachedGpuSupport(host, source, wish.cache_file);
    units_ = UnitsOf(support_->inventory);
    return {};
  }

  void Choose(const GpuUnit* unit) {
    if (std::find(chosen_.begin(), chosen_.end(), unit) == chosen_.end()) chosen_.push_back(unit);
  }

  // --device nvidia.com/gpu=0
  Result<> TakeDevices() {
    std::vector<std::string> left;
    for (const std::string& text : request_.devices) {
      auto name = TRY_CONTEXT(ParseCdiName(text), "--device");
      auto vendor = std::find_if(std::begin(kGpuVendors), std::end(kGpuVendors),
                                 [&](GpuVendor v) { return name.kind == CdiKindOf(v); });
      if (vendor == std::end(kGpuVendors) || TRY(SiteSpeaksOf(*vendor))) {
        left.push_back(text);
        continue;
      }
      TRY(Find());
      auto units = UnitsNamed(units_, *vendor, name.device);
      if (!units && !UnitsNamed(units_, *vendor, "all"))
        return Fail(Code::kNotFound, "--device ", text, ": ", WhyNone(*support_, *vendor));
      if (!units) return Failure(std::move(units).error().Context("--device"));
      for (const GpuUnit* unit : *units) Choose(unit);
      name_them_ = true;
    }
    request_.devices = std::move(left);
    return {};
  }

  // The site's devices are known by name only; "0", "1" … is what every generator of these files writes.
  void AddOfSite(GpuVendor vendor) {
    std::uint32_t count = request_.gpus.count;
    if (count == 0 || count == kAllGpus) {
      request_.devices.push_back(Cat(CdiKindOf(vendor), "=all"));
      return;
    }
    for (std::uint32_t i = 0; i < count; ++i) request_.devices.push_back(Cat(CdiKindOf(vendor), "=", i));
  }

  Result<> AddAll(GpuVendor vendor) {
    if (TRY(SiteSpeaksOf(vendor))) {
      AddOfSite(vendor);
      return {};
    }
    TRY(Find());
    std::vector<const GpuUnit*> all;
    for (const GpuUnit& unit : units_) {
      if (unit.vendor == vendor) all.push_back(&unit);
    }
    if (all.empty()) return Fail(Code::kFailedPrecondition, WhyNone(*support_, vendor));
    return TakeFirst(all, VendorName(vendor));
  }

  Result<> AddOfAnyVendor() {
    for (GpuVendor vendor : kGpuVendors) {
      if (!TRY(SiteSpeaksOf(vendor))) continue;
      AddOfSite(vendor);
      return {};
    }
    TRY(Find());
    std::vector<const GpuUnit*> all;
    for (const GpuUnit& unit : units_) all.push_back(&unit);
    if (all.empty()) {
      std::string why;
      for (const GpuDriver& driver : support_->inventory.drivers)
        why += Cat(why.empty() ? "" : "; ", WhyNone(*support_, driver.vendor));
      for (const std::string& note : support_->inventory.notes) why += Cat(why.empty() ? "" : "; ", note);
      return Fail(Code::kFailedPrecondition, "this host has no GPU that can be used",
                  why.empty() ? "" : Cat(": ", why));
    }
    return TakeFirst(all, "");
  }

  Result<> TakeFirst(const std::vector<const GpuUnit*>& all, const char* vendor) {
    std::size_t wanted = request_.gpus.count;
    if (wanted == 0 || wanted == kAllGpus) wanted = all.size();
    if (wanted > all.size())
      return Fail(Code::kFailedPrecondition, "--gpus ", wanted, ": this host has ", all.size(), " ", vendor,
                  *vendor == '\0' ? "" : " ", "that can be used");
    name_them_ = name_them_ || wanted < all.size();
    for (std::size_t i = 0; i < wanted; ++i) Choose(all[i]);
    return {};
  }

  EditsRequest& request_;
  const std::vector<std::string>& folders_;
  EditsAnswer& answer_;
  std::optional<GpuSupport> support_;
  std::vector<GpuUnit> units_;
  std::vector<const GpuUnit*> chosen_;
  bool name_them_ = false;
};

}  // namespace

Result<> AddGpus(EditsRequest& request, const std::vector<std::string>& cdi_folders, EditsAnswer& answer) {
  return Gpus(request, cdi_folders, answer).Add();
}

}  // namespace slipway
