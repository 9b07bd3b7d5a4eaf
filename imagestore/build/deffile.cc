// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/deffile.h"

#include <algorithm>
#include <cctype>

#include "base/text/text.h"

namespace slipway::build {

namespace {

constexpr std::size_t kRecipeBytesMax = 4 << 20, kStagesMax = 64;

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  bool in_word = false;
  for (char c : text) {
    if (quote != 0) {
      if (c == quote)
        quote = 0;
      else
        word.push_back(c);
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word.push_back(c);
      in_word = true;
    }
  }
  if (in_word) words.push_back(word);
  return words;
}

const std::vector<std::string> kHeaders = {"bootstrap", "mirrorurl", "osversion", "include",
                                           "from",      "stage",     "registry",  "namespace"};
const std::vector<std::string> kSections = {"environment", "runscript", "startscript", "post",
                                            "labels",      "files",     "test",        "help",
                                            "setup",       "pre",       "arguments"};
const std::vector<std::string> kAppSections = {"appinstall", "apprun",   "appstart", "appenv",
                                               "applabels",  "appfiles", "apphelp",  "apptest"};
// Apptainer has them; they come later.
const std::vector<std::string> kLaterHeaders = {"fingerprints", "updateurl", "product", "user",
                                                "regcode",      "otherurl0", "library"};
const std::vector<std::string> kFetched = {"docker", "oras", "oci", "oci-archive", "docker-archive"};

bool Has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view name) {
    recipe_.name = name;
    recipe_.text = text;
  }

  Result<Recipe> Run() {
    if (recipe_.text.size() > kRecipeBytesMax)
      return Fail(Code::kOutOfRange, recipe_.name, ": a recipe of more than ", kRecipeBytesMax, " bytes");
    if (recipe_.text.find('\0') != std::string::npos)
      return Fail(Code::kInvalidArgument, recipe_.name, ": not a text file");
    for (const std::string& raw : Split(recipe_.text, '\n')) {
      ++line_;
      std::string_view line = raw;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.starts_with('%')) {
        TRY(EndSection());
        TRY(BeginSection(line));
      } else if (!section_.empty() && Lower(line.substr(0, 10)) == "bootstrap:") {
        TRY(EndSection());
        TRY(NextStage());
        TRY(HeaderLine(Trim(line)));
      } else if (!section_.empty()) {
        body_.append(line).push_back('\n');
      } else {
        TRY(HeaderLine(Trim(line)));
      }
    }
    TRY(EndSection());
    TRY(Check());
    recipe_.earlier = std::move(earlier_);
    return std::move(recipe_);
  }

 private:
  template <class... Pieces>
  Failure Bad(const Pieces&... pieces) const {
    return Fail(Code::kInvalidArgument, recipe_.name, ":", line_, ": ", pieces...);
  }
  template <class... Pieces>
  Failure Later(const Pieces&... pieces) const {
    return Fail(Code::kUnimplemented, recipe_.name, ":", line_, ": ", pieces...);
  }

  Result<> NextStage() {
    if (earlier_.size() >= kStagesMax) return Bad("more than ", kStagesMax, " stages");
    int line = line_;
    TRY(Check());
    line_ = line;
    std::string name = recipe_.name, text = recipe_.text;
    earlier_.push_back(std::exchange(recipe_, {}));
    recipe_.name = name;
    recipe_.text = text;
    return {};
  }

  Result<> HeaderLine(std::string_view line) {
    if (line.empty() || line.starts_with('#')) return {};
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos)
      return Bad("expected \"Key: value\" or a section, found \"", line.substr(0, 60), "\"");
    std::string key = Lower(Trim(line.substr(0, colon)));
    std::string value(Trim(line.substr(colon + 1)));
    if (Has(kLaterHeaders, key)) return Later("the header \"", key, "\" is not supported");
    if (!Has(kHeaders, key)) {
      std::string near = NearestWord(key, kHeaders);
      return Bad("unknown header \"", key, "\"", near.empty() ? "" : Cat("; did you mean \"", near, "\"?"));
    }
    if (value.empty()) return Bad("the header \"", key, "\" has no value");
    if (std::string_view("bootstrap") == key) return SetBootstrap(Lower(value));
    if (key == "mirrorurl") recipe_.mirror_url = value;
    if (key == "osversion") recipe_.os_version = value;
    if (key == "from") recipe_.from = value;
    if (key == "stage") recipe_.stage = value;
    if (key == "registry") recipe_.registry = value;
    if (key == "namespace") recipe_.name_space = value;
    if (key == "include") {
      std::replace(value.begin(), value.end(), ',', ' ');
      for (std::string& word : Words(value)) recipe_.include.push_back(std::move(word));
    }
    return {};
  }

  Result<> SetBootstrap(const std::string& value) {
    static const std::vector<std::string> kKnown = {
        "debootstrap", "localimage", "scratch", "docker", "oras", "oci", "oci-archive", "docker-archive"};
    static const std::vector<std::string> kLaterBootstraps = {
        "library", "shub", "docker-daemon", "yum", "dnf", "zypper", "arch", "busybox"};
    if (recipe_.bootstrap_line != 0) return Bad("a second \"Bootstrap\" without a section before it");
    if (Has(kLaterBootstraps, value))
      return Later("Bootstrap: ", value, " is not supported; ", Join(kKnown, ", "), " are");
    if (!Has(kKnown, value)) {
      std::string near = NearestWord(value, kKnown);
      return Bad(
          "unknown bootstrap \"", value, "\"; ",
          near.empty() ? Cat(Join(kKnown, ", "), " are supported") : Cat("did you mean \"", near, "\"?"));
    }
    recipe_.bootstrap = value;
    recipe_.bootstrap_line = line_;
    return {};
  }

  Result<> BeginSection(std::string_view line) {
    std::vector<std::string> words = Words(line.substr(1));
    if (words.empty()) return Bad("a section without a name");
    std::string name = Lower(words[0]);
    bool of_app = Has(kAppSections, name);
    if (!of_app && !Has(kSections, name)) {
      std::string near = NearestWord(name, kSections);
      return Bad("unknown section %", name, near.empty() ? "" : Cat("; did you mean %", near, "?"));
    }
    opened_app_.clear();
    opened_stage_.clear();
    if (of_app) TRY(OpenApp(name, words));
    Section& section = opened_;
    section = {};
    section.line = line_;
    if (name == "files" && words.size() == 3 && words[1] == "from") {
      opened_stage_ = words[2];
      bool known =
          std::any_of(earlier_.begin(), earlier_.end(), [&](auto& one) { return one.stage == words[2]; });
      if (!known) return Bad("there is no stage \"", words[2], "\" before this one");
    } else if (words.size() == 3 && words[1] == "-c" &&
               (name == "post" || name == "test" || name == "runscript" || name == "startscript")) {
      section.shell = words[2];
    } else if (words.size() > 1 && !of_app) {
      return Bad("%", name, " does not take \"", words[1], "\"");
    }
    section_ = name;
    body_.clear();
    return {};
  }

  Result<> OpenApp(const std::string& section, const std::vector<std::string>& words) {
    bool usable = words.size() == 2 && words[1].size() <= 64 && words[1] != "." && words[1] != ".." &&
                  words[1].find_first_of("/$'\"\\ ") == std::string::npos;
    if (!usable) return Bad("%", section, " needs the name of one app");
    opened_app_ = words[1];
    for (App& app : recipe_.apps) {
      if (app.name == opened_app_) return {};
    }
    recipe_.apps.push_back({.name = opened_app_});
    return {};
  }

  void EndAppSection(const std::string& name, App& app) {
    Section& target = name == "appinstall" ? app.install
                      : name == "apprun"   ? app.run
                      : name == "appstart" ? app.start
                      : name == "appenv"   ? app.environment
                      : name == "apptest"  ? app.test
                                           : app.help;
    std::string before = target.text;
    target = opened_;
    target.text = before + body_;
  }

  Result<> EndSection() {
    if (section_.empty()) return {};
    std::string name = std::exchange(section_, {});
    if (name == "arguments") return {};  // FillIn has read them
    if (!opened_app_.empty()) {
      App& app = *std::find_if(recipe_.apps.begin(), recipe_.apps.end(),
                               [&](const App& one) { return one.name == opened_app_; });
      if (name == "applabels") return ReadLabels(app.labels);
      if (name == "appfiles") return Files(app.files);
      EndAppSection(name, app);
      return {};
    }
    if (name == "labels") return ReadLabels(recipe_.labels);
    if (name == "files") return Files(recipe_.files);
    Section& target = name == "environment"   ? recipe_.environment
                      : name == "runscript"   ? recipe_.runscript
                      : name == "startscript" ? recipe_.startscript
                      : name == "post"        ? recipe_.post
                      : name == "test"        ? recipe_.test
                      : name == "pre"         ? recipe_.pre
                      : name == "setup"       ? recipe_.setup
                                              : recipe_.help;
    if (target) {
      target.text += body_;  // a section may be written in several pieces
      return {};
    }
    target = opened_;
    target.text = body_;
    return {};
  }

  Result<> ReadLabels(std::vector<std::pair<std::string, std::string>>& labels) {
    for (const std::string& raw : Split(body_, '\n')) {
      std::string_view line = Trim(raw);
      if (line.empty() || line.starts_with('#')) continue;
      std::size_t end = std::min(line.find_first_of(" \t"), line.size());
      std::string_view value = Trim(line.substr(end));
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
        value = value.substr(1, value.size() - 2);
      labels.emplace_back(line.substr(0, end), value);
    }
    return {};
  }

  Result<> Files(std::vector<FileCopy>& files) {
    int at = opened_.line;
    for (const std::string& raw : Split(body_, '\n')) {
      ++at;
      std::string_view line = Trim(raw);
      if (line.empty() || line.starts_with('#')) continue;
      std::vector<std::string> words = Words(line);
      if (words.empty() || words.size() > 2) {
        return Fail(Code::kInvalidArgument, recipe_.name, ":", at,
                    ": %files takes a source and a destination, this line has ", words.size(), " words");
      }
      files.push_back({at, words[0], words.size() > 1 ? words[1] : "", opened_stage_});
    }
    return {};
  }

  Result<> Check() {
    if (recipe_.bootstrap.empty()) {
      return Fail(Code::kInvalidArgument, recipe_.name,
                  ": not a recipe: it has no line \"Bootstrap: …\" (docker, debootstrap, localimage, …)");
    }
    line_ = recipe_.bootstrap_line;
    if (recipe_.bootstrap == "debootstrap" && recipe_.os_version.empty())
      return Bad("Bootstrap: debootstrap needs \"OSVersion: <suite>\"");
    if (recipe_.bootstrap == "localimage" && recipe_.from.empty())
      return Bad("Bootstrap: localimage needs \"From: <image>\"");
    if (recipe_.IsFetched() && recipe_.from.empty())
      return Bad("Bootstrap: ", recipe_.bootstrap, " needs \"From: <image>\"");
    for (const std::string& word : recipe_.include) {
      if (word.starts_with('-')) return Bad("Include: \"", word, "\" is no package name");
    }
    if (recipe_.os_version.starts_with('-') || recipe_.mirror_url.starts_with('-'))
      return Bad("a value begins with \"-\"");
    return {};
  }

  Recipe recipe_;
  int line_ = 0;
  std::string section_, body_;  // the one being read
  Section opened_;
  std::string opened_app_, opened_stage_;
  std::vector<Recipe> earlier_;
};

}  // namespace

bool Recipe::IsFetched() const { return Has(kFetched, bootstrap); }
bool Recipe::HasBase() const { return bootstrap == "localimage" || IsFetched(); }

std::string Recipe::Address() const {
  bool by_name = bootstrap == "docker" || bootstrap == "oras";
  std::string address = Cat(bootstrap, by_name ? "://" : ":");
  if (by_name && !registry.empty()) address += registry + "/";
  if (by_name && !name_space.empty()) address += name_space + "/";
  return address + from;
}

Result<Recipe> ParseRecipe(std::string_view text, std::string_view name) { return Parser(text, name).Run(); }

}  // namespace slipway::build
