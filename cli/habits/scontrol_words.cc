// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/scontrol_words.h"

#include <algorithm>
#include <map>

#include "base/text/text.h"
#include "cli/habits/field.h"

namespace slipway::cli {
namespace {

using Words = std::vector<std::string>;

struct Verb {
  const char* theirs;
  Words ours;
};
const Verb kVerbs[] = {{"hold", {"hold"}},       {"uhold", {"hold"}},      {"holdu", {"hold"}},
                       {"version", {"version"}}, {"release", {"release"}}, {"requeue", {"requeue"}},
                       {"suspend", {"suspend"}}, {"resume", {"resume"}}};

struct Refusal {
  const char *theirs, *cure;
};
constexpr const char* kLogs = "how much is logged is a setting (slipway.toml), read at the start";
constexpr Refusal kRefusals[] = {
    {"requeuehold", "scontrol requeue ID, then scontrol hold ID"},
    {"top", "slipway update --nice; an administrator raises --priority"},
    {"reconfigure",
     "slipwayd and the agents read their settings when they start: restart them, running jobs do not notice"},
    {"reboot", "drain the node (slipway node drain) and reboot it; its agent resumes it"},
    {"takeover", "there is one controller; it may be restarted at any time"},
    {"shutdown", "stop the services: systemctl stop slipwayd, slipway-agent"},
    {"write", "the script of a job is not kept for users; slipway job ID shows the rest"},
    {"listpids", "slipway exec --job ID ps ax, on the job's node"},
    {"pidinfo", "slipway exec --job ID ps ax, on the job's node"},
    {"token", "who you are is known by your account; nothing has to be asked for"},
    {"cancel_reboot", "nodes are rebooted by an administrator: slipway node resume"},
    {"completing", "squeue -t COMPLETING"},
    {"errnumstr", "errors say in words what they are"},
    {"fsdampeningfactor", "the tree of shares is set by [accounting] in slipway.toml"},
    {"setdebug", kLogs},
    {"setdebugflags", kLogs},
    {"schedloglevel", kLogs},
    {"notify", "slipway cancel --signal sends a job a signal"},
};

// "12,13 14" as words; scontrol takes both.
Words JobsIn(const Words& words) {
  Words jobs;
  for (const std::string& word : words) {
    for (std::string& one : Split(word, ',')) {
      if (one.starts_with("JobId=") || one.starts_with("jobid=")) one.erase(0, 6);
      if (!one.empty()) jobs.push_back(one);
    }
  }
  return jobs;
}

struct Setting {
  std::string key, value;
};
Result<std::vector<Setting>> SettingsIn(const Words& words) {
  std::vector<Setting> settings;
  for (const std::string& word : words) {
    auto equals = word.find('=');
    if (equals == std::string::npos)
      return Fail(Code::kInvalidArgument, "scontrol: '", word, "': KEY=VALUE is wanted");
    std::string key = word.substr(0, equals);
    std::ranges::transform(key, key.begin(), ::tolower);
    settings.push_back({key, word.substr(equals + 1)});
  }
  return settings;
}

Result<Words> UpdateJob(const std::vector<Setting>& settings) {
  static const std::map<std::string, const char*, std::less<>> kKeys = {{"timelimit", "--time"},
                                                                        {"priority", "--priority"},
                                                                        {"nice", "--nice"},
                                                                        {"starttime", "--begin"},
                                                                        {"eligibletime", "--begin"}};
  Words ours = {"update"};
  for (std::size_t i = 1; i < settings.size(); ++i) {
    auto at = kKeys.find(settings[i].key);
    if (at == kKeys.end())
      return Fail(
          Code::kInvalidArgument, "scontrol update: ", settings[i].key,
          " of a job cannot be changed; TimeLimit, Priority, Nice and StartTime can (slipway update --help)");
    ours.push_back(Cat(at->second, "=", settings[i].value));
  }
  for (std::string& job : JobsIn({settings[0].value})) ours.push_back(std::move(job));
  return ours;
}

Result<Words> UpdateNode(const std::vector<Setting>& settings) {
  std::string state, reason;
  for (std::size_t i = 1; i < settings.size(); ++i) {
    if (settings[i].key == "state") {
      state = settings[i].value;
    } else if (settings[i].key == "reason") {
      reason = settings[i].value;
    } else {
      return Fail(
          Code::kInvalidArgument, "scontrol update: ", settings[i].key,
          " of a node is said in the settings (slipway.toml), not while it runs; State and Reason are");
    }
  }
  Words ours;
  if (SameWord(state, "drain")) ours = {"node", "drain"};
  if (SameWord(state, "resume") || SameWord(state, "undrain") || SameWord(state, "idle"))
    ours = {"node", "resume"};
  if (ours.empty())
    return Fail(
        Code::kInvalidArgument, "scontrol update: State=", state,
        " cannot be said of a node; DRAIN and RESUME can, and `slipway node fenced` of one that is dead");
  ours.push_back(settings[0].value);
  if (ours[1] == "drain" && !reason.empty()) ours.push_back("--reason=" + reason);
  return ours;
}

// The options of `slipway reservation` are called as scontrol's keys.
Result<Words> Reservation(const char* verb, const std::vector<Setting>& settings) {
  Words ours = {"reservation", verb};
  std::string name;
  for (const Setting& setting : settings) {
    bool is_name = setting.key == "reservationname" || setting.key == "reservation";
    is_name ? void(name = setting.value) : ours.push_back(Cat("--", setting.key, "=", setting.value));
  }
  if (name.empty())
    return Fail(Code::kInvalidArgument, "scontrol ", verb, ": ReservationName=NAME is wanted");
  ours.insert(ours.begin() + 2, name);
  return ours;
}

Result<Words> Change(const std::string& verb, const Words& words) {
  std::vector<Setting> settings = TRY(SettingsIn(words));
  if (settings.empty())
    return Fail(Code::kInvalidArgument, "scontrol ", verb, ": of what? JobId=ID, NodeName=LIST, …");
  const std::string& what = settings[0].key;
  if (verb == "update" && (what == "jobid" || what == "job")) return UpdateJob(settings);
  if (verb == "update" && what == "nodename") return UpdateNode(settings);
  bool reservation =
      std::ranges::any_of(settings, [](const Setting& s) { return s.key.starts_with("reservation"); });
  if (reservation) return Reservation(verb.c_str(), settings);
  return Fail(Code::kInvalidArgument, "scontrol ", verb, " ", what,
              ": is said in the settings (slipway.toml); jobs, nodes and reservations are changed here");
}

}  // namespace

Result<Words> ScontrolWords(const Words& words) {
  Words rest(words.begin() + 1, words.end());
  std::string verb = words[0];
  std::ranges::transform(verb, verb.begin(), ::tolower);
  for (const Verb& one : kVerbs) {
    if (verb != one.theirs) continue;
    Words ours = one.ours;
    for (std::string& job : JobsIn(rest)) ours.push_back(std::move(job));
    return ours;
  }
  for (const Refusal& one : kRefusals) {
    if (verb == one.theirs) return Fail(Code::kInvalidArgument, "scontrol ", verb, " is not had: ", one.cure);
  }
  if (verb == "update" || verb == "create") {
    // "create reservation Key=…": the word says what the keys say.
    if (verb == "create" && !rest.empty() && rest[0].starts_with("res") &&
        rest[0].find('=') == std::string::npos)
      rest.erase(rest.begin());
    return Change(verb, rest);
  }
  if (verb == "delete") return Reservation("delete", TRY(SettingsIn(rest)));
  return Words();
}

}  // namespace slipway::cli
