// SPDX-License-Identifier: Apache-2.0
// slipway logs: a job's output file, read as the user himself; with -f until the job has ended.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/os/fd.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"

namespace slipway::cli {
namespace {

constexpr int kLookAgainMs = 100;  // the file may be on NFS, which tells nobody about changes

Command Declare() {
  return {.name = "slipway logs",
          .summary = "show a job's output",
          .examples = {{"slipway logs 12", "what it has written"},
                       {"slipway logs -f 12", "and what it writes, until it ends"}},
          .options = {{.name = "follow", .letter = 'f', .help = "go on until the job has ended"},
                      {.name = "err", .help = "the standard error's file, where it is another"},
                      ContextOption()},
          .positionals = {{.name = "JOB", .arity = Positional::kOne, .complete = "job"}}};
}

std::string PathOf(const v1::Job& job, bool errors) {
  std::string path = errors && !job.stderr_path().empty() ? job.stderr_path() : job.stdout_path();
  if (path.empty() || path[0] == '/') return path;
  return Cat(job.cwd(), "/", path);
}

class Follower {
 public:
  explicit Follower(std::string path) : path_(std::move(path)) {}
  // Copies what is new; true when there was something.
  Result<bool> Copy() {
    if (!file_) {
      auto opened = Open(path_, O_RDONLY | O_NONBLOCK);
      if (!opened && opened.error().code == Code::kNotFound) return false;
      if (!opened) return Failure(std::move(opened).error());
      file_ = std::move(*opened);
    }
    bool any = false;
    char buffer[1 << 16];
    for (ssize_t n; (n = ::read(file_.get(), buffer, sizeof buffer)) != 0; any = true) {
      if (n < 0) return ErrnoFail("read", path_);
      Print({buffer, static_cast<std::size_t>(n)});
    }
    return any;
  }
  bool opened() const { return static_cast<bool>(file_); }

 private:
  std::string path_;
  UniqueFd file_;
};

Result<> Follow(Cluster& cluster, v1::Job& job, bool errors) {
  std::atomic<bool> ended = false;
  Result<v1::Job> last = job;
  std::thread watcher([&] {
    last = WaitForEnd(cluster, job.job_id(), {});
    ended = true;
  });
  Result<> result;
  Follower follower(PathOf(job, errors));
  for (;;) {
    bool was_ended = ended;  // before the last look: what was written before the end is seen after it
    auto copied = follower.Copy();
    if (!copied) {
      result = Failure(std::move(copied).error());
      break;
    }
    if (was_ended) break;
    if (!*copied) ::poll(nullptr, 0, kLookAgainMs);
  }
  if (!result) {
    PrintError(result.error());
    ::_exit(kRefused);  // the watcher would wait for the job's end
  }
  watcher.join();
  job = TRY(std::move(last));
  if (!follower.opened())
    return Fail(Code::kNotFound, PathOf(job, errors), ": was never written; job ", JobIdText(job), " is ",
                StateName(job.state()), job.reason().empty() ? "" : ": ", job.reason());
  return {};
}

Result<int> Run(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  v1::Job job = TRY(FindJob(cluster, options.positionals()[0]));
  bool errors = options.Has("err");
  if (PathOf(job, errors).empty())
    return Fail(Code::kFailedPrecondition, "job ", JobIdText(job),
                " writes no file: its output went to the one who launched it");
  if (options.Has("follow")) {
    TRY(Follow(cluster, job, errors));
    return 0;
  }
  Follower follower(PathOf(job, errors));
  TRY(follower.Copy());
  if (!follower.opened())
    return Fail(Code::kNotFound, PathOf(job, errors), ": not there yet; job ", JobIdText(job), " is ",
                StateName(job.state()));
  return 0;
}

}  // namespace

const Subcommand kLogs{{"logs"}, Declare, Run};

}  // namespace slipway::cli
