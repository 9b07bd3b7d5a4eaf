// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/task_binding.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace slipway {
namespace {

Result<std::uint64_t> NumberIn(std::string_view text, std::uint64_t max, int base = 10) {
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value > max)
    return Fail(Code::kInvalidArgument, "'", text.substr(0, 32), "' is not a number up to ", max);
  return value;
}

// One hexadecimal mask of any length: the lowest bit is processor 0.
Result<std::vector<std::uint32_t>> CpusOfMask(std::string_view mask) {
  std::string_view digits = mask.starts_with("0x") ? mask.substr(2) : mask;
  std::vector<std::uint32_t> cpus;
  if (digits.empty() || digits.size() * 4 > kBoundCpusMax)
    return Fail(Code::kInvalidArgument, "'", mask.substr(0, 32), "' is not a mask");
  for (std::size_t i = 0; i < digits.size(); ++i) {
    auto digit = TRY(NumberIn(digits.substr(digits.size() - 1 - i, 1), 15, 16));
    for (std::uint32_t bit = 0; bit < 4; ++bit) {
      if (digit >> bit & 1) cpus.push_back(static_cast<std::uint32_t>(i * 4) + bit);
    }
  }
  if (cpus.empty()) return Fail(Code::kInvalidArgument, "the mask '", mask.substr(0, 32), "' is empty");
  return cpus;
}

// "0,4*2": each item so many times.
Result<std::vector<std::vector<std::uint32_t>>> ParseList(std::string_view text, bool masks) {
  constexpr std::size_t kItemsMax = 65536;
  std::vector<std::vector<std::uint32_t>> list;
  for (;;) {
    auto comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    auto star = item.find('*');
    std::uint64_t times =
        star == std::string_view::npos ? 1 : TRY(NumberIn(item.substr(star + 1), kItemsMax));
    item = item.substr(0, star);
    std::vector<std::uint32_t> cpus;
    if (masks) {
      cpus = TRY(CpusOfMask(item));
    } else {
      cpus.push_back(static_cast<std::uint32_t>(TRY(NumberIn(item, kBoundCpusMax - 1))));
    }
    if (times == 0 || list.size() + times > kItemsMax)
      return Fail(Code::kInvalidArgument, "a list of no or of more than ", kItemsMax, " items");
    list.insert(list.end(), times, cpus);
    if (comma == std::string_view::npos) return list;
    text.remove_prefix(comma + 1);
  }
}

template <class Value>
struct Word {
  std::string_view word;
  Value value;
};
template <class Value, std::size_t kCount>
std::optional<Value> Find(const Word<Value> (&words)[kCount], std::string_view text) {
  for (const auto& [word, value] : words) {
    if (word == text) return value;
  }
  return std::nullopt;
}

constexpr Word<CpuBind::Kind> kKinds[] = {{"none", CpuBind::kNone},       {"no", CpuBind::kNone},
                                          {"threads", CpuBind::kThreads}, {"cores", CpuBind::kCores},
                                          {"sockets", CpuBind::kSockets}, {"ldoms", CpuBind::kLdoms},
                                          {"rank", CpuBind::kRank},       {"auto", CpuBind::kAuto}};
constexpr Word<Distribution::Way> kWays[] = {{"block", Distribution::kBlock},
                                             {"cyclic", Distribution::kCyclic},
                                             {"fcyclic", Distribution::kFcyclic},
                                             {"*", Distribution::kBlock}};
constexpr Word<BindHint> kHints[] = {{"", BindHint::kNone},
                                     {"compute_bound", BindHint::kComputeBound},
                                     {"memory_bound", BindHint::kMemoryBound},
                                     {"multithread", BindHint::kMultithread},
                                     {"nomultithread", BindHint::kNoMultithread}};

}  // namespace

Result<CpuBind> ParseCpuBind(std::string_view text) {
  CpuBind bind;
  for (std::string_view rest = text; !rest.empty();) {
    for (bool masks : {false, true}) {
      std::string_view word = masks ? "mask_cpu:" : "map_cpu:";
      if (!rest.starts_with(word)) continue;
      bind.kind = CpuBind::kList;
      bind.cpus = TRY_CONTEXT(ParseList(rest.substr(word.size()), masks), Cat("cpu-bind: ", word));
      return bind;  // what follows is the list's
    }
    auto comma = rest.find(',');
    std::string_view word = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    if (word == "verbose" || word == "v") {
      bind.verbose = true;
    } else if (auto kind = Find(kKinds, word)) {
      bind.kind = *kind;
    } else if (word != "quiet" && word != "q") {
      return Fail(
          Code::kInvalidArgument, "cpu-bind '", word.substr(0, 32),
          "': must be none, threads, cores, sockets, ldoms, rank, map_cpu:LIST or mask_cpu:LIST, with "
          "verbose, or quiet, before it");
    }
  }
  return bind;
}

Result<Distribution> ParseDistribution(std::string_view text) {
  Distribution how;
  auto wrong = [&] {
    return Fail(
        Code::kInvalidArgument, "distribution '", text.substr(0, 64),
        "': must be block, cyclic or plane=N, then perhaps :block, :cyclic or :fcyclic for sockets, and "
        "again for cores");
  };
  std::size_t level = 0;
  for (std::string_view rest = text; !rest.empty() && level < 4; ++level) {
    auto colon = rest.find(':');
    std::string_view word = rest.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
    if (level == 0 && word.starts_with("plane=")) {
      how.nodes = Distribution::kPlane;
      auto size = NumberIn(word.substr(6), 1 << 20);
      if (!size || *size == 0) return wrong();
      how.plane = static_cast<std::uint32_t>(*size);
      continue;
    }
    auto way = Find(kWays, word);
    if (!way || level > 2 || (level == 0 && *way == Distribution::kFcyclic)) return wrong();
    if (level == 0) how.nodes = *way;
    if (level == 1) how.sockets = how.cores = *way;  // the third is as the second unless it is said
    if (level == 2) how.cores = *way;
  }
  return how;
}

Result<BindHint> ParseHint(std::string_view text) {
  if (auto hint = Find(kHints, text)) return *hint;
  return Fail(Code::kInvalidArgument, "hint '", text.substr(0, 32),
              "': must be compute_bound, memory_bound, multithread or nomultithread");
}

Result<> CheckMemBind(std::string_view text) {
  if (text.empty() || text == "none" || text == "local") return {};
  return Fail(Code::kInvalidArgument, "mem-bind '", text.substr(0, 32), "': must be local or none");
}

std::string_view StepVariable(const std::vector<std::string>& env, std::string_view name) {
  for (std::string_view entry : env) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
      return entry.substr(name.size() + 1);
  }
  return {};
}

Result<BindRequest> BindRequestOf(const std::vector<std::string>& env) {
  BindRequest request;
  request.bind = TRY_CONTEXT(ParseCpuBind(StepVariable(env, kCpuBindVariable)), kCpuBindVariable);
  request.distribution =
      TRY_CONTEXT(ParseDistribution(StepVariable(env, kDistributionVariable)), kDistributionVariable);
  request.hint = TRY_CONTEXT(ParseHint(StepVariable(env, kHintVariable)), kHintVariable);
  if (request.bind.kind == CpuBind::kList && request.hint != BindHint::kNone)
    return Fail(Code::kInvalidArgument, "a hint and a list of processors exclude one another");
  return request;
}

Distribution DistributionOf(const std::vector<std::string>& env) {
  return ParseDistribution(StepVariable(env, kDistributionVariable)).value_or(Distribution());
}

std::vector<std::vector<std::uint32_t>> DealRanks(const std::vector<std::uint32_t>& tasks,
                                                  const Distribution& how) {
  std::vector<std::vector<std::uint32_t>> ranks(tasks.size());
  std::uint64_t left = 0;
  for (std::uint32_t here : tasks) left += here;
  std::uint32_t next = 0;
  while (left > 0) {
    for (std::size_t node = 0; node < tasks.size(); ++node) {
      std::uint32_t room = tasks[node] - static_cast<std::uint32_t>(ranks[node].size());
      std::uint32_t now = how.nodes == Distribution::kBlock
                              ? room
                              : std::min(room, how.nodes == Distribution::kPlane ? how.plane : 1);
      for (std::uint32_t i = 0; i < now; ++i) ranks[node].push_back(next++);
      left -= now;
    }
  }
  return ranks;
}

}  // namespace slipway
