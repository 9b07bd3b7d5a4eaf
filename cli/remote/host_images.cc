// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/host_images.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/crypto/crypto.h"
#include "base/loop/epoll_loop.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "launcher/client/broker_client.h"
#include "launcher/client/store_image.h"
#include "launcher/spec/image_signers.h"

namespace slipway::cli {
namespace {

constexpr std::string_view kPrefix = "sha256-";
constexpr std::size_t kDigestName = kPrefix.size() + 64;

// "sha256-HEX", "sha256-HEX.signers", "sha256-HEX.content" to the digest; empty: another file.
std::string DigestOfFileName(const std::string& name) {
  std::string digest = "sha256:" + name.substr(std::min(name.size(), kPrefix.size()));
  digest.resize(std::min(digest.size(), kDigestName));
  return name.starts_with(kPrefix) && IsDigest(digest) ? digest : "";
}

// Does one thing with the broker and waits for its answer. Nothing: there is none.
template <class T>
std::optional<Result<T>> AskBroker(
    const std::string& socket,
    const std::function<void(BrokerClient&, std::function<void(Result<T>)>)>& ask) {
  auto loop = EpollLoop::Make();
  if (!loop) return Result<T>(Failure(loop.error()));
  auto client = BrokerClient::Connect(**loop, socket);
  if (!client) {
    if (client.error().sys_errno == ENOENT || client.error().sys_errno == ECONNREFUSED) return std::nullopt;
    return Result<T>(Failure(client.error()));
  }
  Result<T> answer = Fail(Code::kUnavailable, socket, " gave no answer");
  (*client)->SetEvents({.lost = [&](Error error) {
    answer = Failure(std::move(error));
    (*loop)->Stop();
  }});
  ask(**client, [&](Result<T> told) {
    answer = std::move(told);
    (*loop)->Stop();
  });
  (*loop)->Run();
  return answer;
}

Result<std::vector<StoredImage>> ListFolder(const std::string& folder) {
  std::vector<StoredImage> images;
  for (const std::string& name : TRY(NamesIn(folder))) {
    struct stat info;
    if (name.size() != kDigestName || DigestOfFileName(name).empty() ||
        ::stat(Cat(folder, "/", name).c_str(), &info) < 0)
      continue;
    images.push_back({DigestOfFileName(name), static_cast<std::uint64_t>(info.st_size),
                      std::int64_t{info.st_atim.tv_sec} * 1000});
  }
  return images;
}

// The image first: what belongs to it is garbage then, and is found by having none.
Result<> RemoveFromFolder(const std::string& folder, const std::string& digest) {
  std::string path = Cat(folder, "/", kPrefix, digest.substr(digest.find(':') + 1));
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) return ErrnoFail("unlink", path);
  return {};
}

Result<> RemoveOrphans(const std::string& folder) {
  for (const std::string& name : TRY(NamesIn(folder))) {
    std::string digest = DigestOfFileName(name);
    if (digest.empty() || name.size() == kDigestName) continue;
    if (::access(Cat(folder, "/", name.substr(0, kDigestName)).c_str(), F_OK) == 0) continue;
    std::string path = Cat(folder, "/", name);
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) return ErrnoFail("unlink", path);
  }
  return {};
}

}  // namespace

std::vector<StoredImage> HostGarbage(std::vector<StoredImage> images, const HostGarbageRule& rule) {
  std::uint64_t left = 0;
  for (const StoredImage& one : images) left += one.bytes;
  std::ranges::sort(images, {}, [](const StoredImage& one) { return std::pair(one.used_ms, one.digest); });
  std::vector<StoredImage> garbage;
  for (StoredImage& one : images) {
    std::int64_t unused = rule.now_ms - one.used_ms;
    if (unused < kHostImageStaysMs || rule.named.contains(one.digest)) continue;
    if (unused < rule.unused_ms && (rule.bytes_max == 0 || left <= rule.bytes_max)) continue;
    left -= one.bytes;
    garbage.push_back(std::move(one));
  }
  return garbage;
}

Result<std::vector<StoredImage>> HostImages::List() {
  auto told = AskBroker<std::vector<StoredImage>>(
      conf_.socket(), [](BrokerClient& broker, auto done) { broker.ListImages(std::move(done)); });
  return told ? std::move(*told) : ListFolder(conf_.image_dir);
}

Result<std::set<std::string>> HostImages::Named() const {
  auto text = ReadFile(conf_.names_file(), 4 << 20);
  if (!text && text.error().code == Code::kNotFound) return std::set<std::string>();
  auto named = TRY_CONTEXT(NamedDigests(TRY(std::move(text))), conf_.names_file());
  return std::set<std::string>(named.begin(), named.end());
}

Result<HostImages::Outcome> HostImages::Remove(const std::vector<StoredImage>& images) {
  Outcome outcome;
  for (const StoredImage& one : images) {
    auto told = AskBroker<void>(conf_.socket(), [&](BrokerClient& broker, auto done) {
      broker.RemoveImage(one.digest, std::move(done));
    });
    Result<> gone = told ? std::move(*told) : RemoveFromFolder(conf_.image_dir, one.digest);
    if (!gone && gone.error().code != Code::kFailedPrecondition) return Failure(std::move(gone).error());
    if (gone)
      outcome.gone.push_back(one);
    else
      outcome.kept.push_back(gone.error().message);
  }
  // Also of one that a kill, here or of the broker, had interrupted.
  if (::geteuid() == 0) TRY(RemoveOrphans(conf_.image_dir));
  return outcome;
}

}  // namespace slipway::cli
