// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/environment.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>

#include "base/os/process.h"

namespace slipway {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr const char* kScripts = "/.singularity.d/env";
constexpr const char* kApps = "/scif/apps";
constexpr std::size_t kScriptBytesMax = 1 << 20, kEnvironmentBytesMax = 16 << 20;

bool NameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool NameRest(char c) { return NameStart(c) || (c >= '0' && c <= '9'); }

// A value without anything that a shell would act upon; nothing when there is.
std::optional<std::string> PlainValue(std::string_view text) {
  std::string value;
  while (!text.empty() && text[0] != ' ' && text[0] != '\t' && text[0] != ';') {
    char quote = text[0] == '"' || text[0] == '\'' ? text[0] : 0;
    if (quote != 0) {
      auto end = text.find(quote, 1);
      if (end == std::string_view::npos) return std::nullopt;
      std::string_view inside = text.substr(1, end - 1);
      if (quote == '"' && inside.find_first_of("$`\\") != std::string_view::npos) return std::nullopt;
      value += inside;
      text.remove_prefix(end + 1);
      continue;
    }
    constexpr std::string_view kActive = "$`\\*?[]~#&|<>(){}!";
    if (kActive.find(text[0]) != std::string_view::npos) return std::nullopt;
    value += text[0];
    text.remove_prefix(1);
  }
  auto rest = text.find_first_not_of(" \t;");
  if (rest != std::string_view::npos) return std::nullopt;
  return value;
}

// The names in a folder that do not begin with a dot, in order.
std::vector<std::string> VisibleNamesIn(const std::string& folder) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (dirent* entry = ::readdir(dir)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

// To the end of `fd`; kCancelled when whoever ordered this closes his end of `control_fd` before.
Result<std::string> ReadWhileWanted(int fd, int control_fd) {
  std::string text;
  char chunk[4096];
  for (;;) {
    pollfd fds[] = {{fd, POLLIN, 0}, {control_fd, 0, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return ErrnoFail("poll");
    if ((fds[1].revents & POLLHUP) != 0) return Fail(Code::kCancelled, "nobody waits for it any more");
    if (fds[0].revents == 0) continue;
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno != EINTR) return ErrnoFail("reading from the image's shell");
    if (n == 0) return text;
    if (n > 0) text.append(chunk, static_cast<std::size_t>(n));
    if (text.size() > kEnvironmentBytesMax)
      return Fail(Code::kOutOfRange, "an environment larger than 16 MiB");
  }
}

void AddScripts(const std::string& folder, std::vector<std::string>& scripts) {
  for (const std::string& name : VisibleNamesIn(folder)) {
    if (name.ends_with(".sh")) scripts.push_back(Cat(folder, "/", name));
  }
}

std::vector<std::string> ScriptNames(std::string_view app) {
  std::vector<std::string> scripts;
  AddScripts(kScripts, scripts);
  if (!app.empty()) AddScripts(Cat(kApps, "/", app, "/scif/env"), scripts);
  return scripts;
}

// What an app's scripts and programs find themselves by.
void SetAppVariables(Environment& env, std::string_view app) {
  std::string root = Cat(kApps, "/", app);
  for (const char* name : {"SLIPWAY_APPNAME", "APPTAINER_APPNAME", "SINGULARITY_APPNAME", "SCIF_APPNAME"})
    SetVariable(env, name, app);
  SetVariable(env, "SCIF_APPROOT", root);
  SetVariable(env, "SCIF_APPDATA", Cat("/scif/data/", app));
  SetVariable(env, "PATH", Cat(root, "/bin:", Lookup(env, "PATH")));
  std::string libraries(Lookup(env, "LD_LIBRARY_PATH"));
  SetVariable(env, "LD_LIBRARY_PATH", Cat(root, "/lib", libraries.empty() ? "" : ":", libraries));
}

// The image's shell runs the scripts from `first` on and says what came of them.
Result<Environment> AskShell(const std::vector<std::string>& scripts, std::size_t first,
                             const Environment& env, int control_fd) {
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", "for f in \"$@\"; do [ -r \"$f\" ] && . \"$f\"; done >&2; exec env -0",
                  "slipway-env"};
  options.argv.insert(options.argv.end(), scripts.begin() + static_cast<std::ptrdiff_t>(first),
                      scripts.end());
  options.env = env;
  options.cwd = "/";
  options.parent_death_signal = SIGKILL;
  UniqueFd null = TRY(Open("/dev/null", O_RDONLY));
  PipeEnds pipe = TRY(MakePipe());
  options.fds = {{0, null.get()}, {1, pipe.write.get()}};
  Process shell = TRY(Spawn(options));
  pipe.write.reset();
  Output output;
  output.out = TRY(ReadWhileWanted(pipe.read.get(), control_fd));
  output.status = TRY(shell.Wait());
  if (output.status.signaled())
    return Fail(Code::kCancelled, "its shell was ended by signal ", output.status.signal());
  if (output.status.wait_status != 0)
    return Fail(Code::kFailedPrecondition, "exit code ", output.status.exit_code());
  Environment result;
  for (std::size_t start = 0; start < output.out.size();) {
    auto end = output.out.find('\0', start);
    if (end == std::string::npos) break;
    std::string entry = output.out.substr(start, end - start);
    bool shells_own = entry.starts_with("_=") || entry.starts_with("SHLVL=") ||
                      entry.starts_with("OLDPWD=") || entry.starts_with("PWD=");
    if (!shells_own && entry.find('=') != std::string::npos && entry[0] != '=')
      result.push_back(std::move(entry));
    start = end + 1;
  }
  for (const std::string& entry : env) {
    if (entry.starts_with("PWD=") || entry.starts_with("SHLVL=")) result.push_back(entry);
  }
  return result;
}

Result<Environment> ImageEnvironment(Environment env, const ImagePart& image) {
  std::vector<std::string> scripts = ScriptNames(image.app);
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    auto script = ReadFile(scripts[i], kScriptBytesMax);
    if (script && ApplyPlainScript(*script, env)) continue;
    if (::access("/bin/sh", X_OK) < 0)
      return Fail(Code::kNotFound, "it takes a shell and the image has no /bin/sh");
    return AskShell(scripts, i, env, image.control_fd);
  }
  return env;
}

constexpr std::string_view kForTheContainer[] = {"SINGULARITYENV_", "APPTAINERENV_",
                                                 "SLIPWAYENV_"};  // the last wins

// PREPEND_PATH and APPEND_PATH are not variables of their own, in Apptainer neither.
void SetForTheContainer(Environment& env, std::string_view name, std::string_view value) {
  std::string path(Lookup(env, "PATH"));
  if (name == "PREPEND_PATH") return SetVariable(env, "PATH", Cat(value, ":", path));
  if (name == "APPEND_PATH") return SetVariable(env, "PATH", Cat(path, ":", value));
  if (name == "APPEND_LD_LIBRARY_PATH") {
    std::string libraries(Lookup(env, "LD_LIBRARY_PATH"));
    return SetVariable(env, "LD_LIBRARY_PATH", Cat(libraries, libraries.empty() ? "" : ":", value));
  }
  SetVariable(env, name, value);
}

}  // namespace

std::string_view Lookup(const Environment& env, std::string_view name) {
  for (auto entry = env.rbegin(); entry != env.rend(); ++entry) {
    if (entry->size() > name.size() && entry->starts_with(name) && (*entry)[name.size()] == '=')
      return std::string_view(*entry).substr(name.size() + 1);
  }
  return {};
}

void SetVariable(Environment& env, std::string_view name, std::string_view value) {
  std::erase_if(env, [&](const std::string& entry) {
    return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
  });
  env.push_back(Cat(name, "=", value));
}

bool ApplyPlainScript(std::string_view script, Environment& env) {
  Environment changed = env;
  while (!script.empty()) {
    auto end = script.find('\n');
    std::string_view line = script.substr(0, end);
    script.remove_prefix(end == std::string_view::npos ? script.size() : end + 1);
    auto first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos || line[first] == '#') continue;
    line.remove_prefix(first);
    bool exported = line.starts_with("export ");
    if (exported) line.remove_prefix(std::min(line.find_first_not_of(' ', 7), line.size()));
    auto name_end =
        static_cast<std::size_t>(std::find_if_not(line.begin(), line.end(), NameRest) - line.begin());
    if (name_end == 0 || !NameStart(line[0]) || name_end == line.size() || line[name_end] != '=')
      return false;
    std::string_view name = line.substr(0, name_end);
    auto value = PlainValue(line.substr(name_end + 1));
    // Without export it reaches the environment only if the name is there already.
    if (!value || (!exported && Lookup(changed, name).empty())) return false;
    SetVariable(changed, name, *value);
  }
  env = std::move(changed);
  return true;
}

Result<> CheckApp(const std::string& app) {
  if (app.empty() || ::access(Cat(kApps, "/", app).c_str(), F_OK) == 0) return {};
  std::string known;
  for (const std::string& name : VisibleNamesIn(kApps)) known += Cat(known.empty() ? "" : ", ", name);
  return Fail(Code::kNotFound, "--app ", app, ": the image has no such app",
              known.empty() ? " (and no other)" : Cat("; it has ", known));
}

Result<Environment> ContainerEnvironment(const Environment& env, const ImagePart& image) {
  Environment base;
  for (const std::string& entry : env) {
    bool special = entry.starts_with("PATH=");
    for (std::string_view prefix : kForTheContainer) special = special || entry.starts_with(prefix);
    if (!special) base.push_back(entry);
  }
  base.push_back(Cat("PATH=", kDefaultPath));
  if (!image.app.empty()) SetAppVariables(base, image.app);
  if (image.environment)
    base = TRY_CONTEXT(ImageEnvironment(std::move(base), image),
                       "the image's environment (/.singularity.d/env) cannot be evaluated");
  for (std::string_view prefix : kForTheContainer) {
    for (const std::string& entry : env) {
      if (!entry.starts_with(prefix)) continue;
      auto equals = entry.find('=');
      if (equals > prefix.size())
        SetForTheContainer(base, std::string_view(entry).substr(prefix.size(), equals - prefix.size()),
                           std::string_view(entry).substr(equals + 1));
    }
  }
  return base;
}

}  // namespace slipway
