// SPDX-License-Identifier: Apache-2.0
// slipway submit: a batch script becomes a job. Its own lines, the options and the environment make the
// JobSpec.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/pyxis/pyxis.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_options.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/site_options.h"
#include "cli/remote/subcommand.h"
#include "cli/remote/wanted_image.h"
#include "cli/script/array.h"
#include "cli/script/directives.h"
#include "cli/show/json.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr std::size_t kScriptBytesMax = 4 << 20;

Command Declare() {
  Command command{
      .name = "slipway submit",
      .summary = "queue a batch script; it runs inside the image when its turn comes",
      .examples = {{"slipway submit job.sh", "the script says the rest in #SBATCH or #SLIPWAY lines"},
                   {"slipway submit --image mpi -N 2 -n 8 -t 1h job.sh input.dat",
                    "options win over the script's lines"},
                   {"slipway submit --image mpi --wrap 'python3 train.py'", "no script at all"},
                   {"slipway submit --array 1-100%8 --image tiny job.sh", "one task each, eight at a time"},
                   {"slipway submit --image mpi -N1 -c16 : -N4 -n64 job.sh",
                    "two components, started together"},
                   {"slipway submit -d afterok:12 --image tiny job.sh", "when job 12 has succeeded"}},
      .options = ResourceOptions(),
      .positionals = {{.name = "SCRIPT",
                       .arity = Positional::kOptional,
                       .help = "default: standard input",
                       .complete = "file"},
                      {.name = "ARG", .arity = Positional::kMany, .help = "the script's arguments"}},
      .stop_at_first_positional = true};
  std::vector<Option> more = {
      {.name = "wrap",
       .type = Option::kString,
       .value_name = "COMMAND",
       .help = "run this shell command instead of a script"},
      {.name = "array",
       .letter = 'a',
       .type = Option::kString,
       .value_name = "LIST",
       .help = "one task for each index: 0-9, 1-100:2%4, 3,5"},
      {.name = "export",
       .type = Option::kString,
       .value_name = "LIST",
       .help = "environment that travels: ALL, NONE, or ALL,NAME=value"},
      {.name = "nice", .type = Option::kString, .value_name = "N", .help = "lower the priority by N"},
      {.name = "dependency",
       .letter = 'd',
       .type = Option::kString,
       .value_name = "LIST",
       .help = "wait for others: afterok:12:13,afterany:14 (all), or with '?' (any); also after, afternotok, "
               "aftercorr, singleton"},
      {.name = "hold", .letter = 'H', .help = "wait until slipway release"},
      {.name = "begin",
       .letter = 'b',
       .type = Option::kString,
       .value_name = "TIME",
       .help = "not before: now+2hours, 16:30, 2026-11-23T16:30"},
      {.name = "deadline",
       .type = Option::kString,
       .value_name = "TIME",
       .help = "give up when it cannot end by then any more: now+2hours, 16:30, 2026-11-23T16:30"},
      {.name = "requeue", .help = "may be started again after its node was lost"},
      {.name = "no-requeue", .help = "may not"},
      {.name = "open-mode",
       .type = Option::kString,
       .value_name = "MODE",
       .help = "output file: truncate or append",
       .complete = "append|truncate"},
      {.name = "comment", .type = Option::kString, .value_name = "TEXT", .help = "kept with the job"},
      {.name = "wait", .letter = 'W', .help = "return when the job has ended, with its exit code"},
      {.name = "parsable", .help = "print the job's id and nothing else"},
      JsonOption(),
      ContextOption()};
  command.options.insert(command.options.end(), more.begin(), more.end());
  return command;
}

struct Source {
  std::string name;   // of the job, unless it is given
  std::string label;  // in messages
  std::string text;
};

// `all`: the components of a heterogeneous job; any of them may have --wrap, the last one names the script.
Result<Source> ReadSource(const Parsed& options, const std::vector<Parsed>& all) {
  for (const Parsed& component : all) {
    if (!component.Has("wrap")) continue;
    if (!options.positionals().empty())
      return Fail(Code::kInvalidArgument, "--wrap and a script: one of them, please");
    return Source{"wrap", "--wrap", Cat("#!/bin/sh\n", component.Value("wrap"), "\n")};
  }
  const auto& words = options.positionals();
  if (words.empty() || words[0] == "-") {
    if (::isatty(0) == 1)
      return Fail(Code::kInvalidArgument, "no script given; name one, pipe one in, or use --wrap");
    return Source{"stdin", "standard input", TRY_CONTEXT(ReadAll(0, kScriptBytesMax), "standard input")};
  }
  return Source{words[0].substr(words[0].rfind('/') + 1), words[0], TRY(ReadFile(words[0], kScriptBytesMax))};
}

std::string DefaultOutput(bool array) {
  std::string prefix = CalledAs() == "sbatch" ? "slurm" : "slipway";
  return prefix + (array ? "-%A_%a.out" : "-%j.out");
}

Result<v1::JobSpec> SpecOf(const Parsed& options, const Source& source) {
  v1::JobSpec spec;
  *spec.mutable_resources() = TRY(ResourcesOf(options));
  v1::Program& program = *spec.mutable_program();
  TRY(DescribeProgram(options, program));
  program.set_script(source.text);
  const auto& words = options.positionals();
  for (std::size_t i = 1; i < words.size(); ++i) program.add_argv(words[i]);
  for (std::string& entry : TRY(ExportedEnvironment(OwnEnvironment(), options.Value("export"),
                                                    ::getenv("SLIPWAY_JOB_ID") != nullptr)))
    program.add_env(std::move(entry));
  spec.set_name(options.Value("job-name", source.name));
  if (options.Has("array")) {
    TRY(ParseArray(options.Value("array")));
    spec.set_array(options.Value("array"));
  }
  if (program.stdout_path().empty()) program.set_stdout_path(DefaultOutput(options.Has("array")));
  program.set_append_output(options.Value("open-mode") == "append");
  if (options.Has("nice")) {
    std::string nice = options.Value("nice");
    bool negative = nice.starts_with("-");
    auto value = static_cast<std::int32_t>(
        TRY_CONTEXT(ParseNumber(std::string_view(nice).substr(negative ? 1 : 0), 0, 1'000'000), "--nice"));
    spec.set_nice(negative ? -value : value);
  }
  auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                 std::chrono::system_clock::now().time_since_epoch())
                 .count();
  if (options.Has("begin")) spec.set_begin_ms(TRY(ParseMoment(options.Value("begin"), now, "--begin")));
  if (options.Has("deadline"))
    spec.set_deadline_ms(TRY(ParseMoment(options.Value("deadline"), now, "--deadline")));
  TRY(ReadSiteJob(options, spec));
  spec.set_dependency(options.Value("dependency"));
  spec.set_hold(options.Has("hold"));
  spec.set_requeue(options.Has("requeue") && !options.Has("no-requeue"));
  spec.set_comment(options.Value("comment"));
  if (options.Has("container-entrypoint"))
    return Fail(Code::kInvalidArgument, source.label,
                ": --container-entrypoint is for launch and srun; a script calls what it wants to run");
  return spec;
}

void Show(const Parsed& options, const v1::SubmitReply& reply) {
  for (const std::string& warning : reply.warnings())
    PrintError(Error{Code::kOk, 0, Cat("slipway: warning: ", warning)});
  if (options.Has("json")) {
    nlohmann::ordered_json json = {{"job_id", reply.job_id()}, {"image_digest", reply.image_digest()}};
    Print(json.dump(2) + "\n");
  } else {
    Print(options.Has("parsable") ? Cat(reply.job_id(), "\n")
                                  : Cat("Submitted batch job ", reply.job_id(), "\n"));
  }
}

using Words = std::vector<std::string>;

// What a component has from the one before it unless it says otherwise.
constexpr std::string_view kPassedOn[] = {"container-env",
                                          "container-image",
                                          "container-mounts",
                                          "container-workdir",
                                          "container-writable",
                                          "no-container-mount-home",
                                          "account",
                                          "begin",
                                          "bind",
                                          "chdir",
                                          "comment",
                                          "context",
                                          "deadline",
                                          "dependency",
                                          "error",
                                          "export",
                                          "hold",
                                          "image",
                                          "input",
                                          "job-name",
                                          "mpi",
                                          "nice",
                                          "open-mode",
                                          "output",
                                          "qos",
                                          "requeue",
                                          "no-requeue",
                                          "reservation",
                                          "time"};

std::vector<Words> SplitComponents(const Words& words) {
  std::vector<Words> components(1);
  for (const std::string& word : words) {
    word == kComponentMark ? void(components.emplace_back()) : components.back().push_back(word);
  }
  return components;
}

// `-N1 : -N4 job.sh`: a ':' where the script would be ends a component's options.
Result<std::vector<Parsed>> ComponentsGiven(const Parsed& given) {
  Command command = Declare();
  std::vector<Parsed> components{given};
  while (!components.back().positionals().empty() && components.back().positionals()[0] == kComponentMark) {
    const Words& words = components.back().positionals();
    components.push_back(TRY(ParseOptions(command, Words(words.begin() + 1, words.end()))));
  }
  return components;
}

// The words of the options that `command` knows, without what follows them.
Words OptionWords(const Command& command, const Parsed& parsed) {
  Words words = CommandLineWords(command, parsed);
  words.erase(std::ranges::find(words, "--"), words.end());
  return words;
}

// Of each component the script's own lines come first, so that the command line's words win.
Result<std::vector<Parsed>> WithDirectives(const std::vector<Parsed>& given, const Source& source) {
  Command command = Declare(), passed = command;
  std::erase_if(passed.options, [](const Option& option) {
    return std::ranges::find(kPassedOn, option.name) == std::end(kPassedOn);
  });
  const std::vector<Words> lines = SplitComponents(TRY(ReadDirectives(command, source.text, source.label)));
  const std::size_t count = std::max(lines.size(), given.size());
  std::vector<Parsed> components;
  for (std::size_t i = 0; i < count; ++i) {
    Words words = i == 0 ? Words() : OptionWords(passed, components.back());
    if (i < lines.size()) words.insert(words.end(), lines[i].begin(), lines[i].end());
    if (i < given.size()) {
      const Words own = OptionWords(command, given[i]);
      words.insert(words.end(), own.begin(), own.end());
    }
    const Words& arguments = given.back().positionals();
    words.emplace_back("--");
    words.insert(words.end(), arguments.begin(), arguments.end());
    components.push_back(TRY(ParseOptions(command, words)));
  }
  return components;
}

// Of each component. A script whose steps name images and that names none itself runs in the first of theirs.
Result<std::vector<WantedImage>> BringImages(const std::vector<Parsed>& components, const Source& source) {
  std::vector<std::string> of_steps = ImagesOfSteps(source.text);
  std::vector<WantedImage> images;
  for (const Parsed& component : components) {
    std::string word = TRY(ImageWordOf(component));
    if (word.empty() && !of_steps.empty()) {
      word = TRY(
          PyxisImage(of_steps[0], [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }));
      PrintError(Error{Code::kOk, 0,
                       Cat("slipway: ", source.label, " names no image for itself: it runs in ", word,
                           ", which its first step names")});
    }
    if (word.empty())
      return Fail(Code::kInvalidArgument, source.label,
                  ": no image; give --image, or a line '#SLIPWAY --image=NAME' in the script");
    images.push_back(TRY(Bring(word)));
  }
  return images;
}

// What its steps will ask for is in the cluster before they can.
Result<> BringStepImages(Cluster& cluster, const Source& source) {
  for (const std::string& image : ImagesOfSteps(source.text)) {
    auto word = PyxisImage(image, [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; });
    if (!word || !word->starts_with("docker://")) continue;  // the step says what is wrong with it
    TRY(ReferenceOf(cluster, TRY(Bring(*word))));
  }
  return {};
}

Result<int> Run(const Parsed& given) {
  auto words = ComponentsGiven(given);
  if (!words) return UsageExit(words.error());
  auto source = ReadSource(words->back(), *words);
  if (!source) return UsageExit(source.error());
  auto components = WithDirectives(*words, *source);
  if (!components) return UsageExit(components.error());
  for (Parsed& component : *components)
    TRY(TakeFromEnvironment(Declare(), {"PYXIS_"}, OwnEnvironment(), component));
  std::vector<v1::JobSpec> specs;
  for (const Parsed& component : *components) {
    auto spec = SpecOf(component, *source);
    if (!spec) return UsageExit(spec.error());
    if (!specs.empty()) spec->clear_dependency();  // the whole job's, given with the first
    specs.push_back(std::move(*spec));
  }
  auto images = BringImages(*components, *source);
  if (!images && images.error().code == Code::kInvalidArgument) return UsageExit(images.error());
  if (!images) return Failure(std::move(images).error());
  const Parsed* options = &components->front();
  Cluster cluster = TRY(Cluster::Of(*options));
  for (std::size_t i = 0; i < specs.size(); ++i) specs[i].set_image(TRY(ReferenceOf(cluster, (*images)[i])));
  TRY(BringStepImages(cluster, *source));
  v1::SubmitRequest request;
  *request.mutable_spec() = std::move(specs.front());
  for (std::size_t i = 1; i < specs.size(); ++i) *request.add_components() = std::move(specs[i]);
  request.set_request_id(NewRequestId());
  v1::SubmitReply reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Submit, request));
  Show(*options, reply);
  if (!options->Has("wait")) return 0;
  return ExitCodeOf(TRY(WaitForEnd(cluster, reply.job_id(), {})));
}

}  // namespace

const Subcommand kSubmit{{"submit"}, Declare, Run};

}  // namespace slipway::cli
