// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/wanted_image.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/os/program.h"
#include "cli/command/command.h"
#include "cli/front/fetch_image.h"
#include "cli/pyxis/pyxis.h"
#include "cli/remote/image_upload.h"
#include "launcher/client/user.h"
#include "slipway/v1/image.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr std::size_t kPartMax = 63;  // of a name of the catalogue

bool IsFile(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

// A part of a catalogue name, as near to `text` as the rules for them allow.
std::string Part(std::string text, bool capitals) {
  for (char& c : text) {
    bool digit = c >= '0' && c <= '9', small = c >= 'a' && c <= 'z', large = c >= 'A' && c <= 'Z';
    if (large && !capitals) {
      c = static_cast<char>(c - 'A' + 'a');
    } else if (!digit && !small && !large && c != '.' && c != '_') {
      c = '-';
    }
  }
  text.erase(0, text.find_first_not_of("._-"));
  // The end of a long one tells more than its beginning.
  if (text.size() > kPartMax) text = Cat("x", text.substr(text.size() - kPartMax + 1));
  return text.empty() ? "image" : text;
}

Result<std::string> NameIt(Cluster& cluster, const std::string& name, const std::string& digest,
                           const std::string& address) {
  v1::ResolveImageRequest resolve;
  resolve.set_reference(name);
  auto known = cluster.Call<v1::Images>(&v1::Images::Stub::Resolve, resolve);
  if (known && known->digest() == digest) return Cat(name, "@", digest);
  v1::AddImageRequest request;
  request.set_name(name);
  request.set_digest(digest);
  request.set_visibility("private");
  auto added = cluster.Call<v1::Images>(&v1::Images::Stub::Add, request);
  if (!added) {
    // The name is a convenience; the job runs by the digest as well.
    PrintError(Error{Code::kOk, 0, Cat("slipway: ", address, " got no name: ", added.error().message)});
    return digest;
  }
  PrintError(Error{Code::kOk, 0, Cat("slipway: ", address, " is ", name, " in the cluster now")});
  return Cat(name, "@", digest);
}

// Inside a job nothing can be brought: registries are asked by a program that an image does not have.
Result<std::string> BroughtBefore(Cluster& cluster, const std::string& name, const std::string& address) {
  v1::ResolveImageRequest resolve;
  resolve.set_reference(name);
  auto known = cluster.Call<v1::Images>(&v1::Images::Stub::Resolve, resolve);
  if (known) return Cat(name, "@", known->digest());
  if (known.error().code != Code::kNotFound) return Failure(std::move(known).error());
  return Fail(Code::kFailedPrecondition, "image ", address,
              " cannot be brought from inside a job; name it when the job is submitted, or bring it before: "
              "slipway image pull --visibility private ",
              address, " ", name);
}

}  // namespace

std::string OwnImageName(const std::string& user, const std::string& address) {
  std::string rest = address.substr(address.find(':') + 1), tag = "latest";
  rest.erase(0, std::min(rest.find_first_not_of('/'), rest.size()));
  if (auto at = rest.find('@'); at != std::string::npos) {
    tag = rest.substr(rest.find(':', at) + 1).substr(0, 12);
    rest.resize(at);
  }
  auto colon = rest.rfind(':');
  if (colon != std::string::npos && rest.find('/', colon) == std::string::npos) {
    if (address.find('@') == std::string::npos) tag = rest.substr(colon + 1);
    rest.resize(colon);
  }
  return Cat(Part(user, false), "/", Part(rest, false), ":", Part(tag, true));
}

Result<std::string> ImageWordOf(const Parsed& options) {
  if (!options.Has("container-image")) return options.Value("image");
  if (options.Has("image"))
    return Fail(Code::kInvalidArgument, "--image and --container-image: one of them, please");
  return PyxisImage(options.Value("container-image"), IsFile);
}

Result<WantedImage> Bring(const std::string& text) {
  if (!IsImageAddress(text)) return WantedImage{.text = text};
  if (!FindCompanion("slipway-images")) return WantedImage{.text = text};
  return WantedImage{.text = text, .file = TRY(FetchImage(text))};
}

Result<std::string> ReferenceOf(Cluster& cluster, const WantedImage& wanted) {
  if (!IsImageAddress(wanted.text)) return ImageReference(cluster, wanted.text);
  std::string name = OwnImageName(CallingUser().name, wanted.text);
  if (wanted.file.empty()) return BroughtBefore(cluster, name, wanted.text);
  return NameIt(cluster, name, TRY(UploadImage(cluster, wanted.file)).digest(), wanted.text);
}

}  // namespace slipway::cli
