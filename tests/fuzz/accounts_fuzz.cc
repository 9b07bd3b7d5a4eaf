// SPDX-License-Identifier: Apache-2.0
// The caller's line of passwd(5) and group(5) is put into whatever file the image has: the file stays as it
// is but for one whole line at its end, and a name from a directory service cannot make two of it.
#include <fcntl.h>
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/os/fd.h"
#include "launcher/client/user.h"
#include "launcher/container/layer.h"

namespace {

using namespace slipway;

// An image that has etc/passwd, and a folder over it, both in memory.
struct Folders {
  std::string path = *MakeTempDirectory("/dev/shm", "slipway-fuzz-");
  UniqueFd image, layer;
  Folders() {
    CHECK(MakeDirectories(path + "/image/etc") && MakeDirectories(path + "/layer"));
    image = *Open(path + "/image", O_PATH | O_DIRECTORY);
    layer = *Open(path + "/layer", O_PATH | O_DIRECTORY);
  }
  ~Folders() { [[maybe_unused]] auto removed = RemoveTree(path); }
  void PutPasswd(const std::string& text) const {
    UniqueFd file = *Open(path + "/image/etc/passwd", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(WriteAll(file.get(), text));
    [[maybe_unused]] auto gone = RemoveTree(path + "/layer/etc");
  }
  std::string Passwd(const char* part) const {
    return ReadFile(path + part + "/etc/passwd", 4 << 20).value_or(std::string());
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Folders* folders = new Folders;
  static bool cleaned = std::atexit([] { delete folders; }) == 0;
  CHECK(cleaned);
  FuzzedDataProvider input(data, size);
  User user;
  user.uid = input.ConsumeIntegral<std::uint32_t>();
  user.gid = input.ConsumeIntegral<std::uint32_t>();
  for (std::string* field : {&user.name, &user.group, &user.home, &user.shell})
    *field = input.ConsumeRandomLengthString(64);
  std::string line = PasswdLine(user), group = GroupLine(user);
  CHECK(std::count(line.begin(), line.end(), ':') == 6 && line.find('\n') == std::string::npos);
  CHECK(std::count(group.begin(), group.end(), ':') == 3 && group.find('\n') == std::string::npos);

  std::string before = input.ConsumeRemainingBytesAsString();
  folders->PutPasswd(before);
  Layer layer(folders->image.get(), folders->layer.get());
  auto added = layer.AddAccountLine("/etc/passwd", line);
  CHECK(folders->Passwd("/image") == before);
  if (!added) {
    CHECK(!added.error().message.empty());
    return 0;
  }
  std::string after = folders->Passwd("/layer");
  if (!layer.used()) return 0;  // it has the name or the number already
  std::string separator = before.empty() || before.back() == '\n' ? "" : "\n";
  CHECK(after == before + separator + line + "\n");
  return 0;
}
