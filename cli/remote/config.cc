// SPDX-License-Identifier: Apache-2.0
// slipway config check|show|host: the admin's policy for containers, and what this host makes of it.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "cli/config/conf_text.h"
#include "cli/config/host.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"
#include "launcher/spec/starter_conf.h"

namespace slipway::cli {
namespace {

constexpr std::size_t kConfBytesMax = 64 << 10;  // what the privileged programs read at most

std::string PathOf(const Parsed& options) {
  return options.positionals().empty() ? kStarterConf : options.positionals()[0];
}

Command DeclareCheck() {
  return {.name = "slipway config check",
          .summary = "say what is wrong with a starter.conf, and where",
          .examples = {{"slipway config check", "/etc/slipway/starter.conf"},
                       {"slipway config check new.conf", "before it is put in place"}},
          .positionals = {{"FILE", Positional::kOptional, "/etc/slipway/starter.conf unless given", "file"}}};
}

Result<int> Check(const Parsed& options) {
  std::string path = PathOf(options), text = TRY(ReadFile(path, kConfBytesMax));
  std::string mistake = ExplainMistake(path, text);
  if (mistake.empty()) {
    Print(Cat(path, ": good\n"));
    return 0;
  }
  std::fputs(mistake.c_str(), stderr);
  return kRefused;
}

Command DeclareShow() {
  return {.name = "slipway config show",
          .summary = "every key of starter.conf and its value; the defaults as comments",
          .examples = {{"slipway config show", "what holds on this node"}},
          .positionals = {{"FILE", Positional::kOptional, "/etc/slipway/starter.conf unless given", "file"}}};
}

Result<int> Show(const Parsed& options) {
  std::string path = PathOf(options);
  auto text = ReadFile(path, kConfBytesMax);
  if (!text && (text.error().sys_errno != ENOENT || !options.positionals().empty()))
    return Failure(std::move(text).error());
  Print(TRY_CONTEXT(ShowConf(text.value_or(std::string())), path));
  return 0;
}

Command DeclareHost() {
  return {.name = "slipway config host",
          .summary = "which ways of exec this host leaves, and how to mend the others",
          .examples = {{"slipway config host", "a table"}, {"slipway config host --json", "for programs"}},
          .options = {JsonOption()},
          .notes = "Exit code: 0 when at least one way remains, 1 when none does."};
}

Result<int> Host(const Parsed& options) {
  std::vector<Finding> findings = JudgeHost(ReadHost());
  bool any = findings[0].good || findings[1].good || findings[2].good;
  if (options.Has("json")) {
    nlohmann::json list = nlohmann::json::array();
    for (const Finding& one : findings)
      list.push_back({{"what", one.what}, {"good", one.good}, {"why", one.why}, {"mend", one.mend}});
    Print(nlohmann::json{{"findings", list}}.dump(2) + "\n");
    return any ? 0 : kRefused;
  }
  Table table({{"WHAT"}, {"GOOD"}, {"WHY"}, {"TO MEND IT"}});
  for (const Finding& one : findings) table.Add({one.what, one.good ? "yes" : "no", one.why, one.mend});
  Print(table.Text(WantsColour(1)));
  return any ? 0 : kRefused;
}

}  // namespace

const Subcommand kConfigCheck{{"config", "check"}, DeclareCheck, Check};
const Subcommand kConfigShow{{"config", "show"}, DeclareShow, Show};
const Subcommand kConfigHost{{"config", "host"}, DeclareHost, Host};

}  // namespace slipway::cli
