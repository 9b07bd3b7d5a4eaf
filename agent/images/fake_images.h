// SPDX-License-Identifier: Apache-2.0
// The controller's image service as tests need it: one image from memory, cut into chunks; it counts what it
// is asked for, and does wrong what the test says it shall.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/crypto/crypto.h"
#include "slipway/v1/image.grpc.pb.h"

namespace slipway {

class FakeImages final : public v1::ImageSource::Service {
 public:
  enum class Fault { kUnavailable, kTruncated, kCorrupt, kOutOfOrder, kTooMuch };

  grpc::Status Manifest(grpc::ServerContext*, const v1::ImageManifestRequest* request,
                        v1::ImageManifest* reply) override {
    std::lock_guard lock(mutex);
    ++manifests;
    if (request->digest() != DigestOf(bytes)) return {grpc::StatusCode::NOT_FOUND, "no such image"};
    reply->set_digest(request->digest());
    reply->set_bytes(bytes.size());
    reply->set_chunk_bytes(chunk_bytes);
    for (std::size_t at = 0; at < bytes.size(); at += chunk_bytes)
      reply->add_chunk_digests(DigestOf(bytes.substr(at, chunk_bytes)));
    return grpc::Status::OK;
  }

  grpc::Status Fetch(grpc::ServerContext* context, const v1::FetchRequest* request,
                     grpc::ServerWriter<v1::FetchChunk>* writer) override {
    std::uint32_t index = request->first_chunk();
    std::string chunk = bytes.substr(std::size_t{index} * chunk_bytes, chunk_bytes);
    Fault fault{};
    bool faulty = false, stalled = false;
    {
      std::lock_guard lock(mutex);
      ++chunks;
      stalled = chunks > gives_only;
      if (corrupt[index]-- > 0) chunk[chunk.size() / 2] = static_cast<char>(chunk[chunk.size() / 2] ^ 1);
      if (auto at = faults.find(chunks); at != faults.end()) {
        fault = at->second;
        faulty = true;
      }
    }
    if (stalled) {
      while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return grpc::Status::CANCELLED;
    }
    if (faulty && fault == Fault::kUnavailable) return {grpc::StatusCode::UNAVAILABLE, "told to be away"};
    if (faulty && fault == Fault::kTruncated) chunk.resize(chunk.size() / 2);
    if (faulty && fault == Fault::kCorrupt) chunk[0] = static_cast<char>(chunk[0] ^ 1);
    if (faulty && fault == Fault::kTooMuch) chunk += chunk;
    for (std::size_t at = 0; at < chunk.size(); at += 10000) {
      v1::FetchChunk piece;
      piece.set_index(index);
      piece.set_offset(static_cast<std::uint32_t>(faulty && fault == Fault::kOutOfOrder ? at + 1 : at));
      piece.set_data(chunk.substr(at, 10000));
      writer->Write(piece);
    }
    return grpc::Status::OK;
  }

  grpc::Status Sources(grpc::ServerContext*, const v1::SourcesRequest*, v1::SourcesReply* reply) override {
    std::lock_guard lock(mutex);
    for (const auto& [node, address] : holders) {
      reply->add_holders()->set_node(node);
      reply->mutable_holders(reply->holders_size() - 1)->set_address(address);
    }
    return grpc::Status::OK;
  }

  std::string bytes;
  std::uint32_t chunk_bytes = 64 << 10;
  std::mutex mutex;                            // guards what follows
  std::map<std::uint32_t, int> corrupt;        // chunk → how many more times
  std::map<int, Fault> faults;                 // the nth Fetch call, from 1 → what is wrong with its answer
  std::map<std::string, std::string> holders;  // node → address
  int gives_only = 1 << 30;                    // Fetch calls; those beyond are never answered
  int manifests = 0, chunks = 0;               // calls
};

}  // namespace slipway
