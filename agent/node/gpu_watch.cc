// SPDX-License-Identifier: Apache-2.0
#include "agent/node/gpu_watch.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/json/strict.h"
#include "base/log/log.h"
#include "base/os/program.h"
#include "base/text/text.h"
#include "hooks/gpu/discover.h"
#include "hooks/gpu/health.h"

namespace slipway {
namespace {

constexpr std::size_t kAnswerBytesMax = 1 << 20;

bool IsOffered(const NodeDevices& devices, const std::string& pci) {
  return std::ranges::find(devices.units, pci, &GpuUnit::pci) != devices.units.end();
}

}  // namespace

std::string GpuProgram(const std::string& asked) {
  if (!asked.empty()) return asked;
  return FindCompanion("slipway-gpu").value_or("");
}

Result<std::vector<std::string>> FaultsIn(std::string_view json) {
  Json answer = TRY(ParseJson(json, kAnswerBytesMax));
  if (!answer.is_object() || !JsonField(answer, "faulty").is_array())
    return Fail(Code::kInvalidArgument, "no answer of slipway-gpu's");
  std::vector<std::string> faults;
  for (const Json& gpu : JsonField(answer, "faulty")) {
    if (!gpu.is_object()) return JsonWrong("faulty", "not a list of objects");
    std::string pci = TRY(JsonText(JsonField(gpu, "pci"), "pci"));
    faults.push_back(Cat("GPU ", Printable(pci.substr(0, 64)), ": ",
                         Printable(TRY(JsonText(JsonField(gpu, "fault"), "fault")).substr(0, 256))));
  }
  return faults;
}

GpuWatch::GpuWatch(Loop& loop, const NodeDevices& devices, GpuWatchOptions options,
                   std::function<bool()> idle, std::function<void()> changed)
    : loop_(loop),
      devices_(devices),
      options_(std::move(options)),
      idle_(std::move(idle)),
      changed_(std::move(changed)),
      programs_(loop) {
  if (NvmlIdsOf(devices_).empty()) return;
  auto log = KernelLog::Open(options_.kernel_log, options_.kernel_log_given);
  if (log)
    log_.emplace(std::move(*log));
  else
    Log(Level::kWarn, "Xid messages of GPUs are not noticed: the kernel's log cannot be read",
        {{"error", log.error().message}, {"cure", "docs/gpu.md"}});
  options_.program = GpuProgram(options_.program);
  if (options_.ask_every.count() != 0 && !options_.program.empty())
    timer_ = loop_.After(options_.ask_every, [this] { Ask(); });
}

GpuWatch::~GpuWatch() { loop_.Cancel(timer_); }

void GpuWatch::Ask() {
  timer_ = loop_.After(options_.ask_every, [this] { Ask(); });
  programs_.Run({options_.program, "gpu", "list", "--json"}, {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                options_.deadline, [this](const ProgramEnd& end) {
                  auto faults = FaultsIn(end.output);
                  std::string wrong = end.how != ProgramEnd::kExited ? Describe(end, options_.deadline)
                                      : !faults                      ? faults.error().message
                                                                     : std::string();
                  if (!wrong.empty() && wrong != complaint_)
                    Log(Level::kWarn, "how GPUs are was not learned", {{"error", wrong}});
                  complaint_ = wrong;
                  // A driver that does not answer says nothing new.
                  if (wrong.empty()) faults_ = std::move(*faults);
                });
}

std::vector<std::string> GpuWatch::Findings() {
  if (devices_.units.empty()) return {};
  auto host = HostTree::At(devices_.host_root);
  if (!host) return {};
  std::vector<std::string> findings = GpuFindings(*host, devices_.units);
  if (log_) log_->Read([this](std::string_view record) { xids_.Note(record); });
  for (const auto& [pci, number] : xids_.fatal()) {
    if (IsOffered(devices_, pci)) findings.push_back(DescribeXid(pci, number));
  }
  findings.insert(findings.end(), faults_.begin(), faults_.end());
  if (HardwareFingerprint(*host) == devices_.gpus.hardware) return findings;
  findings.push_back("the GPUs or their driver were changed: they are found anew once nothing runs here");
  if (idle_() && !std::exchange(told_, true)) loop_.Post(changed_);
  return findings;
}

}  // namespace slipway
