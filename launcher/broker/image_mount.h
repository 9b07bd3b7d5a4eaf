// SPDX-License-Identifier: Apache-2.0
// Where the images of the root-owned store are, and how one becomes a mount. Shared by the broker, which
// keeps mounts in the holder's namespace, and the setuid starter, which makes one or takes a kept one.
#pragma once

#include <string>

#include "base/os/fd.h"
#include "launcher/broker/conf.h"
#include "launcher/broker/identity.h"

namespace slipway {

inline constexpr const char* kImageFilePrefix = "sha256-";

// "sha256:" and 64 lower-case hex digits; kInvalidArgument otherwise. All that makes paths from a digest asks
// first.
Result<> CheckDigest(const std::string& digest);
std::string ImageFilePath(const BrokerConf& conf, const std::string& digest);
// What slipway-import found inside it (imagestore/content); nothing that runs as root reads it.
std::string ContentPath(const BrokerConf& conf, const std::string& digest);
// What its mount is called: of the image as it is, or of one whose root is shown as `owner`.
std::string MountName(const std::string& digest, const UserIds* owner = nullptr);
std::string ImageMountPath(const BrokerConf& conf, const std::string& mount_name);

Result<UniqueFd> OpenStoreImage(const BrokerConf& conf, const std::string& digest);  // read-only; kNotFound

// For who looks for room: the file's time of access, which no mount option keeps from being set by hand.
void NoteUse(const BrokerConf& conf, const std::string& digest);

// Leaves the mount namespace of our caller for a private copy that still receives what the host mounts later
// (automounts), with a small tmpfs at mounts_dir where images are attached. 0711: the container's child,
// already the user, must pass through by name.
Result<> EnterPrivateMounts(const BrokerConf& conf);
// The image's squashfs through a loop device, read-only, nosuid, nodev, detached.
Result<UniqueFd> MountStoreImage(const BrokerConf& conf, const std::string& digest);
// A detached copy of one that is attached in the mount namespace we are in.
Result<UniqueFd> CloneStoreMount(const BrokerConf& conf, const std::string& digest);
// Shows root's files on the detached mount as the user's, so that he can change them in a layer above; false
// where this kernel cannot.
Result<bool> GiveToUser(int mount_fd, const UserIds& owner);
// At ImageMountPath, which is made.
Result<> AttachStoreImage(const BrokerConf& conf, const std::string& mount_name, int mount_fd);

}  // namespace slipway
