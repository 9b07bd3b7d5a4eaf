// SPDX-License-Identifier: Apache-2.0
// The tree of an image under construction may hold links that point anywhere. RootDir reads and writes in it
// as if it were /, so that no link leads out to the host.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway::build {

class RootDir {
 public:
  static Result<RootDir> Open(const std::string& path);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  Result<> MakeDirectories(const std::string& path, unsigned mode = 0755) const;
  // Replaces what is there, a link too.
  Result<> WriteFile(const std::string& path, std::string_view bytes, unsigned mode) const;
  Result<> Symlink(const std::string& path, const std::string& target) const;
  Result<std::string> ReadFile(const std::string& path, std::size_t bytes_max) const;
  bool Exists(const std::string& path) const;  // follows links
  bool IsDirectory(const std::string& path) const;
  Result<> Remove(const std::string& path) const;  // a file; none is no error

  // %files: `source` of the host (links are followed, directories copied whole) as `destination` in here.
  Result<> CopyIn(const std::string& source, const std::string& destination) const;
  // %files from a stage: `source` is a path in `from`, and its links lead nowhere but there.
  Result<> CopyFrom(const RootDir& from, const std::string& source, const std::string& destination) const;

 private:
  struct Place {
    UniqueFd parent;
    std::string name;
  };
  Result<Place> PlaceOf(const std::string& path) const;
  Result<> CopyOpened(int fd, const std::string& source, const std::string& destination,
                      const std::function<Result<>(const std::string& name)>& child) const;
  UniqueFd fd_;
  std::string path_;
};

}  // namespace slipway::build
