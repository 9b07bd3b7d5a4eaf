// SPDX-License-Identifier: Apache-2.0
// The kernel parses what is mounted, so an image's bytes must be exactly those that the controller's digest
// names, and must stay so. A file offered for admission is made root's and read-only, a read lease proves
// that nobody can write it any more, then it is hashed, and only then it gets its name in the store. A file
// that is not the agent's own to give (or lies on another file system) is copied instead: changing owner and
// mode of a stranger's file on the agent's word would let it break that file.
//
// Mounts are kept, because a new mount has a cold page cache; they live in the holder's mount namespace,
// which this process must have entered, and are found again by the next broker.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/loop/forked_work.h"
#include "launcher/broker/identity.h"
#include "launcher/broker/importer.h"
#include "launcher/spec/step_id.h"

namespace slipway {

class ImageKeeper {
 public:
  using Done = std::function<void(Result<>)>;
  // `mounts_max`: every step's birth copies the whole mount table, so it is kept short.
  ImageKeeper(const BrokerConf& conf, Loop& loop, std::size_t mounts_max = 64)
      : conf_(conf), workers_(loop), importers_(loop), mounts_max_(mounts_max) {}
  Result<> Open();
  // The store as the host's mount namespace has it (borrowed): files that came from there can be linked only
  // there.
  void SetHostStore(int directory_fd) { host_store_fd_ = directory_fd; }

  // `owner`: whose files may be taken over as they are. `done` is called once, maybe at once.
  void Admit(const std::string& digest, UniqueFd file, uid_t owner, Done done);
  // By importer.h, in a worker. `done` is called once.
  void Import(UniqueFd source, bool as_is, std::function<void(Result<ImportedImage>)> done);
  Result<> Remove(const std::string& digest);  // kFailedPrecondition while a step uses it
  Result<std::vector<StoredImage>> List() const;

  // The path at which the step's mount namespace will find the image (rootless: the file's). Mounted if it is
  // not. With an `owner`: root's files in it are shown as his, where the kernel can.
  Result<std::string> Use(const std::string& digest, const StepId& step, const UserIds* owner = nullptr);
  void Release(const StepId& step);

 private:
  Result<std::list<std::string>::iterator> Unmount(std::list<std::string>::iterator at);  // the one behind it
  Result<> MakeRoom();
  Result<std::string> Mounted(const std::string& digest, const UserIds* owner);  // its name
  bool InUse(const std::string& name) const;

  const BrokerConf& conf_;
  Workers workers_, importers_;  // an import takes minutes: hashing does not wait for it
  std::size_t mounts_max_;
  int host_store_fd_ = -1;
  std::list<std::string> mounted_;       // names (MountName), the one used last in front
  std::map<StepId, std::string> users_;  // likewise
};

// A file in the store's file system that has no name yet.
Result<UniqueFd> MakeNamelessImage(const BrokerConf& conf);
// Gives a file of the store's own making (nobody else has it open) its path in the store. `store_fd`: the
// store as the host's mount namespace has it, or -1 when we are there.
Result<> LinkIntoStore(int store_fd, int file_fd, const std::string& path);

// For workers: proves that no descriptor or mapping for writing is left (waits a second for the giver to
// close his), flushes, and hashes. `fd` must be open read-only.
Result<std::string> HashUnwritable(int fd);

}  // namespace slipway
