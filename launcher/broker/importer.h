// SPDX-License-Identifier: Apache-2.0
// Foreign images are parsed by slipway-import, and it is assumed that one of them will take it over some day:
// it runs as a user of its own, in empty network, IPC, PID and mount namespaces (a root with /usr and the
// libraries, all read-only), with one descriptor in and one out, bounded and with a deadline. What it wrote
// is admitted like any file.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "launcher/broker/images.h"

namespace slipway {

struct Imported {
  std::string digest, source_digest;
  std::uint64_t bytes = 0;
  UniqueFd file;  // read-only
};

class Importer {
 public:
  using Done = std::function<void(Result<Imported>)>;
  Importer(const BrokerConf& conf, Loop& loop, Workers& workers, ImageKeeper& images)
      : conf_(conf), loop_(loop), workers_(workers), images_(images) {}
  ~Importer();  // ends those that still run
  void Import(UniqueFd source, Done done);

 private:
  static constexpr std::size_t kAtOnceMax = 4;
  struct Running {
    Process process;
    UniqueFd source, out, errors;
    Loop::WatchId watch;
    Loop::TimerId deadline;
    bool overdue = false;
    Done done;
  };
  Result<> Begin(UniqueFd source, Done& done);
  void Ended(std::uint64_t id);
  void Finish(UniqueFd source, UniqueFd out, Done done);

  const BrokerConf& conf_;
  Loop& loop_;
  Workers& workers_;
  ImageKeeper& images_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Running> running_;
};

}  // namespace slipway
