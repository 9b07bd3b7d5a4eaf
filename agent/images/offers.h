// SPDX-License-Identifier: Apache-2.0
// What this node can give to others of the images that it holds, and of those that it is still fetching; and
// the gRPC service that gives it.
//
// Any thread: gRPC's threads look up, fetches and the owner's thread put in and take out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/images/partial_image.h"
#include "base/os/fd.h"

namespace grpc {
class Service;
}

namespace slipway {

struct ImageOffer {
  std::shared_ptr<const UniqueFd> file;
  std::shared_ptr<const PartialImage> partial;  // null: the file is the whole image
};

class ImageOffers {
 public:
  // `givings_max`: how many Fetch calls are served at a time; one more is told to ask another.
  explicit ImageOffers(unsigned givings_max = 16) : givings_max_(givings_max) {}

  void Put(const std::string& digest, ImageOffer offer);  // replaces
  void Remove(const std::string& digest);
  std::optional<ImageOffer> Find(const std::string& digest) const;

  bool Begin();  // false: givings_max are under way
  void End();

 private:
  const unsigned givings_max_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, ImageOffer> offers_;
  unsigned givings_ = 0;
};

// v1::ImagePeer, for other nodes' certificates only.
std::unique_ptr<grpc::Service> MakeImagePeerService(std::shared_ptr<ImageOffers> offers);

}  // namespace slipway
