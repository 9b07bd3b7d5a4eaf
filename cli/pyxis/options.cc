// SPDX-License-Identifier: Apache-2.0
#include "base/text/text.h"
#include "cli/pyxis/pyxis.h"

namespace slipway::cli {
namespace {

// One that we have, or that says what is so anyway; or one that we refuse, with the cure.
struct Row {
  const char* name;
  Option::Type type;
  const char* value;
  const char* help;
  const char* refusal;  // empty: taken
};

constexpr const char* kNoKeeping =
    "a container does not outlive its step here; build what shall stay into an image (slipway build), or "
    "install "
    "it into a directory that --container-mounts brings in";

constexpr Row kRows[] = {
    {"container-image", Option::kString, "[REGISTRY#]IMAGE[:TAG]|PATH",
     "Pyxis: an image of a registry, or a file", ""},
    {"container-mounts", Option::kList, "SRC[:DST[:FLAGS]],…", "Pyxis: host paths that the container sees",
     ""},
    {"container-workdir", Option::kString, "PATH", "Pyxis: working directory in the container", ""},
    {"container-mount-home", Option::kFlag, "", "Pyxis: with the home directory (it is there anyway)", ""},
    {"no-container-mount-home", Option::kFlag, "", "Pyxis: without the home directory", ""},
    {"container-writable", Option::kFlag, "", "Pyxis: as --writable-tmpfs", ""},
    {"container-readonly", Option::kFlag, "", "Pyxis: as it is anyway", ""},
    {"container-entrypoint", Option::kFlag, "", "Pyxis: the image's entrypoint runs the command", ""},
    {"no-container-entrypoint", Option::kFlag, "", "Pyxis: as it is anyway", ""},
    {"container-entrypoint-log", Option::kFlag, "", "Pyxis: as it is anyway: its output is the step's", ""},
    {"container-env", Option::kList, "NAME,…",
     "Pyxis: variables of which the caller's value wins over the image's", ""},
    {"no-container-remap-root", Option::kFlag, "", "Pyxis: as it is anyway: ranks are their user", ""},
    {"container-remap-root", Option::kFlag, "", "",
     "ranks run as their user; who needs root to install something does it in an image: slipway build, or "
     "slipway exec --fakeroot"},
    {"container-name", Option::kString, "NAME", "", kNoKeeping},
    {"container-save", Option::kString, "PATH", "", kNoKeeping},
};

Result<> Refuse(const Parsed& options) {
  for (const Row& row : kRows) {
    if (*row.refusal != 0 && options.Has(row.name))
      return Fail(Code::kInvalidArgument, "--", row.name, ": ", row.refusal);
  }
  for (const char* name : {"mount-home", "entrypoint"}) {
    if (options.Has(Cat("container-", name)) && options.Has(Cat("no-container-", name)))
      return Fail(Code::kInvalidArgument, "--container-", name, " and --no-container-", name,
                  ": one of them");
  }
  if (options.Has("container-writable") && options.Has("container-readonly"))
    return Fail(Code::kInvalidArgument, "--container-writable and --container-readonly: one of them");
  return {};
}

// "container-mount-home" is Pyxis's PYXIS_CONTAINER_MOUNT_HOME.
std::string VariableOf(std::string_view name) {
  std::string variable(name);
  for (char& c : variable) c = c == '-' ? '_' : static_cast<char>(c - (c >= 'a' && c <= 'z' ? 'a' - 'A' : 0));
  return variable;
}

}  // namespace

std::vector<Option> PyxisOptions() {
  std::vector<Option> options;
  for (const Row& row : kRows) {
    options.push_back(
        {.name = row.name,
         .type = row.type,
         .value_name = row.value,
         .help = row.help,
         .hidden = *row.refusal != 0 || std::string_view(row.help).find("anyway") != std::string::npos,
         .variables = {VariableOf(row.name)}});
  }
  return options;
}

Result<PyxisWishes> PyxisWishesOf(const Parsed& options) {
  TRY(Refuse(options));
  PyxisWishes wishes;
  for (const std::string& value : options.List("container-mounts")) {
    for (std::string& mount : TRY(PyxisMounts(value))) wishes.mounts.push_back(std::move(mount));
  }
  wishes.cwd = options.Value("container-workdir");
  if (!wishes.cwd.empty() && wishes.cwd[0] != '/')
    return Fail(Code::kInvalidArgument, "--container-workdir=", wishes.cwd,
                ": must be an absolute path in the container");
  wishes.writable = options.Has("container-writable");
  wishes.no_home = options.Has("no-container-mount-home");
  wishes.entrypoint = options.Has("container-entrypoint");
  for (const std::string& value : options.List("container-env")) {
    for (std::string& name : Split(value, ',')) {
      if (name.empty() || name.find('=') != std::string::npos)
        return Fail(Code::kInvalidArgument, "--container-env=", value, ": names of variables are wanted");
      wishes.variables.push_back(std::move(name));
    }
  }
  return wishes;
}

}  // namespace slipway::cli
