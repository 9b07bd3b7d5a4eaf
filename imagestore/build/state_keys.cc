// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/state_keys.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "imagestore/build/bootstrap.h"
#include "imagestore/build/host_files.h"
#include "imagestore/sif/types.h"

namespace slipway::build {

namespace {

// Bumped when a step of a build makes something else of the same recipe.
constexpr char kVersion[] = "slipway build state 1";

// Every word with its length, so that no two lists of words make the same bytes.
class Words {
 public:
  Words& Add(std::string_view word) {
    hash_.Update(Cat(word.size(), ":"));
    hash_.Update(word);
    return *this;
  }
  // Without the empty lines at its end, which are there when it is the file's last.
  Words& Add(const Section& section) {
    std::size_t end = section.text.find_last_not_of('\n') + 1;
    return Add(section ? "section" : "none").Add(section.text.substr(0, end)).Add(section.shell);
  }
  std::string Key(std::string_view step) { return Cat(step, "-", hash_.Finish().substr(7)); }

 private:
  Sha256 hash_;
};

Result<> AddTree(Words& words, const std::string& path) {
  UniqueFd fd = TRY(Open(path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (::fstat(fd.get(), &info) < 0) return ErrnoFail("stat", path);
  if (S_ISREG(info.st_mode)) {
    words.Add("file").Add(Cat(info.st_mode & 0777)).Add(TRY(DigestOfFile(fd.get())));
    return {};
  }
  if (!S_ISDIR(info.st_mode)) return Fail(Code::kInvalidArgument, path, " is neither a file nor a directory");
  std::vector<std::string> names = TRY(NamesIn(path));
  std::sort(names.begin(), names.end());
  words.Add("directory").Add(Cat(names.size()));
  for (const std::string& name : names) {
    words.Add(name);
    TRY(AddTree(words, Cat(path, "/", name)));
  }
  return {};
}

Result<> AddCopies(Words& words, const std::vector<FileCopy>& copies,
                   const std::map<std::string, std::string>& stages) {
  words.Add(Cat(copies.size()));
  for (const FileCopy& copy : copies) {
    words.Add(copy.source).Add(copy.destination).Add(copy.stage);
    if (!copy.stage.empty()) {
      auto stage = stages.find(copy.stage);
      if (stage == stages.end() || stage->second.empty()) return Fail(Code::kNotFound, "stage ", copy.stage);
      words.Add(stage->second);
      continue;
    }
    std::vector<std::string> paths = TRY(HostFiles(copy.source));
    words.Add(Cat(paths.size()));
    for (const std::string& path : paths) {
      words.Add(path);
      TRY(AddTree(words, path));
    }
  }
  return {};
}

Result<std::string> BootstrapKey(const Recipe& recipe) {
  Words words;
  words.Add(kVersion).Add(sif::HostArch()).Add(recipe.bootstrap);
  if (recipe.HasBase()) {
    if (recipe.base_digest.empty()) return Fail(Code::kNotFound, "no digest");
    words.Add(recipe.base_digest);
  } else if (recipe.bootstrap == "debootstrap") {
    for (const std::string& word : TRY(DebootstrapWords(recipe, "TARGET"))) words.Add(word);
  }
  return words.Key("bootstrap");
}

Result<std::string> FilesKey(const Recipe& recipe, const std::string& before,
                             const std::map<std::string, std::string>& stages) {
  Words words;
  words.Add(before).Add(recipe.environment);
  // Where a section stands it is written over what a state has; where it does not, the state's must be none.
  for (const Section* section : {&recipe.runscript, &recipe.startscript, &recipe.test, &recipe.help})
    words.Add(*section ? "own" : "none");
  TRY(AddCopies(words, recipe.files, stages));
  return words.Key("files");
}

std::string PostKey(const Recipe& recipe, const std::string& before) {
  Words words;
  words.Add(before).Add(recipe.post);
  for (const std::string& variable : SectionEnvironment())
    if (!variable.starts_with("TERM=")) words.Add(variable);
  return words.Key("post");
}

Result<std::string> AppKey(const App& app, const std::string& before,
                           const std::map<std::string, std::string>& stages) {
  Words words;
  words.Add(before).Add(app.name);
  for (const Section* section : {&app.install, &app.run, &app.start, &app.environment, &app.test, &app.help})
    words.Add(*section);
  words.Add(Cat(app.labels.size()));
  for (const auto& [name, value] : app.labels) words.Add(name).Add(value);
  TRY(AddCopies(words, app.files, stages));
  return words.Key("app");
}

std::vector<FileCopy> CopiesOf(const Recipe& recipe, std::size_t step) {
  if (step == kFilesStep) return recipe.files;
  return step < kFirstAppStep ? std::vector<FileCopy>() : recipe.apps[step - kFirstAppStep].files;
}

// With its stages before it.
std::vector<const Recipe*> StagesOf(const Recipe& recipe) {
  std::vector<const Recipe*> all;
  for (const Recipe& stage : recipe.earlier) all.push_back(&stage);
  all.push_back(&recipe);
  return all;
}

// How many steps need not be done.
std::size_t StepsInCache(const Recipe& recipe, const std::vector<std::string>& keys, BuildCache& cache) {
  for (std::size_t step = keys.size(); step-- > 0;)
    if (IsWorthKeeping(recipe, step) && !keys[step].empty() && cache.Has(keys[step])) return step + 1;
  return 0;
}

}  // namespace

std::string StepName(const Recipe& recipe, std::size_t step) {
  constexpr const char* kNames[] = {"bootstrap", "%files", "%post"};
  return step < kFirstAppStep ? kNames[step] : "%appinstall " + recipe.apps[step - kFirstAppStep].name;
}

bool IsWorthKeeping(const Recipe& recipe, std::size_t step) {
  if (step == kBootstrapStep) return recipe.bootstrap == "debootstrap";  // images are kept as such
  if (step == kFilesStep) return false;
  return static_cast<bool>(step == kPostStep ? recipe.post : recipe.apps[step - kFirstAppStep].install);
}

std::vector<std::string> KeysOf(const Recipe& recipe, const std::map<std::string, std::string>& stages) {
  std::vector<std::string> keys(kFirstAppStep + recipe.apps.size());
  keys[kBootstrapStep] = BootstrapKey(recipe).value_or("");
  if (keys[kBootstrapStep].empty() || recipe.setup) return keys;
  keys[kFilesStep] = FilesKey(recipe, keys[kBootstrapStep], stages).value_or("");
  if (keys[kFilesStep].empty()) return keys;
  keys[kPostStep] = PostKey(recipe, keys[kFilesStep]);
  for (std::size_t step = kFirstAppStep; step < keys.size() && !keys[step - 1].empty(); ++step)
    keys[step] = AppKey(recipe.apps[step - kFirstAppStep], keys[step - 1], stages).value_or("");
  return keys;
}

std::vector<StagePlan> PlanStages(const Recipe& recipe, BuildCache& cache) {
  std::vector<const Recipe*> all = StagesOf(recipe);
  std::vector<StagePlan> plan(all.size());
  bool on_host =
      std::any_of(all.begin(), all.end(), [](const Recipe* one) { return one->pre || one->setup; });
  if (on_host) return plan;
  std::map<std::string, std::string> stages;
  std::vector<std::vector<std::string>> keys;
  for (std::size_t i = 0; i < all.size(); ++i) {
    keys.push_back(KeysOf(*all[i], stages));
    stages[all[i]->stage] = plan[i].key = keys[i].back();
  }
  std::set<std::string> copied_from;
  for (std::size_t i = all.size(); i-- > 0;) {
    plan[i].is_needed = i + 1 == all.size() || copied_from.contains(all[i]->stage);
    if (!plan[i].is_needed) continue;
    for (std::size_t step = StepsInCache(*all[i], keys[i], cache); step < keys[i].size(); ++step)
      for (const FileCopy& copy : CopiesOf(*all[i], step)) copied_from.insert(copy.stage);
  }
  return plan;
}

std::vector<std::string> SectionEnvironment() {
  std::vector<std::string> environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                          "HOME=/root", "LC_ALL=C",
                                          "APPTAINER_ENVIRONMENT=/.singularity.d/env/91-environment.sh",
                                          "SINGULARITY_ENVIRONMENT=/.singularity.d/env/91-environment.sh"};
  for (const char* name : {"TERM", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
                           "NO_PROXY", "SOURCE_DATE_EPOCH"}) {
    if (const char* value = std::getenv(name)) environment.push_back(Cat(name, "=", value));
  }
  return environment;
}

}  // namespace slipway::build
