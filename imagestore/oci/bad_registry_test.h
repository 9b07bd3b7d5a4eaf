// SPDX-License-Identifier: Apache-2.0
// A client of registries that misbehave: its own home, little patience, and sleeps that are only noted.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "base/crypto/crypto.h"
#include "imagestore/oci/fake_server_test.h"
#include "imagestore/oci/registry.h"

namespace slipway::oci {

class BadRegistry : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("REGISTRY_AUTH_FILE");
    top_ = *MakeTempDirectory("/tmp", "oci-");
    ::setenv("DOCKER_CONFIG", top_.c_str(), 1);
    ::setenv("HOME", top_.c_str(), 1);
    options_.plain_http = true;
    options_.http.stall_timeout = std::chrono::seconds(1);
    options_.http.tries = 4;
    options_.http.sleep = [this](std::chrono::milliseconds wait) { waits_.push_back(wait); };
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }

  Registry Of(const FakeServer& server) {
    return Registry(*ParseReference(Cat("docker://", server.host(), "/a/b:1")), options_);
  }
  Result<std::string> Blob(const FakeServer& server, const std::string& expected) {
    UniqueFd fd(::memfd_create("blob", MFD_CLOEXEC));
    Registry registry = Of(server);
    TRY(registry.GetBlob({.digest = DigestOf(expected), .size = expected.size()}, fd.get(), 0, {}));
    std::string bytes(expected.size(), '\0');
    TRY(ReadExactlyAt(fd.get(), std::as_writable_bytes(std::span(bytes)), 0));
    return bytes;
  }
  std::string top_;
  RegistryOptions options_;
  std::vector<std::chrono::milliseconds> waits_;
};

inline std::string Body(std::size_t size) {
  std::string body(size, '\0');
  for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 23);
  return body;
}

// Where a request of a part begins.
inline std::size_t RangeIn(const std::string& head) {
  std::size_t at = head.find("Range: bytes=");
  return at == std::string::npos ? 0 : static_cast<std::size_t>(std::atol(head.c_str() + at + 13));
}

}  // namespace slipway::oci
