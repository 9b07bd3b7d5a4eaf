// SPDX-License-Identifier: Apache-2.0
// The controller's images: what was imported lies in a content-addressed store, users' names for it in the
// catalogue, and which upload became which image in small files (imports/HEX), so that nothing is sent or
// imported twice. Only what slipway-import wrote comes in, by way of the broker on this host.
//
// Any thread but where a line says otherwise. Calls that read whole files are for the worker.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "imagestore/store/blob_store.h"
#include "imagestore/store/catalogue.h"
#include "launcher/client/broker_client.h"
#include "scheduler/core/job_spec.h"
#include "scheduler/server/worker.h"

namespace slipway::scheduler {

class ImageDesk {
 public:
  struct Options {
    std::string state_dir;      // images/, imports/, spool/ and catalogue.db are made in it
    std::string broker_socket;  // empty: uploads are refused
    std::uint64_t upload_bytes_max = 0;
  };
  static Result<std::unique_ptr<ImageDesk>> Open(Loop& loop, Options options);
  ~ImageDesk();

  const Options& options() const { return options_; }
  Worker& worker() { return *worker_; }

  // A name, name@sha256:…, or the digest of an image that is here. kNotFound with the nearest names.
  Result<ImageRef> Resolve(const std::string& reference);
  Result<store::ImageRecord> ResolveRecord(const std::string& reference);
  Result<std::vector<store::ImageRecord>> List();
  Result<store::ImageRecord> Add(const std::string& name, const std::string& digest, std::uint32_t uid,
                                 bool admin);
  // The name; and the bytes, when no other name had them and `in_use` says no job needs them.
  Result<> Remove(const std::string& name, std::uint32_t uid, bool admin,
                  const std::function<bool(const std::string&)>& in_use);

  struct Imported {
    std::string digest, source_digest;
    std::uint64_t bytes = 0;
    bool existed = false;
  };
  // What an upload of this source became. kNotFound: never seen.
  Result<Imported> Find(const std::string& source_digest);
  Result<UniqueFd> NewSpoolFile() const;  // without a name: nothing of it is left behind
  // Loop's thread. `spooled` holds what the user sent, its digest checked; `done` comes on the loop's thread.
  void Import(UniqueFd spooled, std::string source_digest, std::function<void(Result<Imported>)> done);

  Result<UniqueFd> OpenBlob(const std::string& digest);
  // Worker: reads the whole image at the first call.
  Result<std::shared_ptr<const store::ChunkManifest>> Manifest(const std::string& digest);

 private:
  ImageDesk(Loop& loop, Options options, store::BlobStore blobs, store::Catalogue catalogue)
      : loop_(loop),
        options_(std::move(options)),
        blobs_(std::move(blobs)),
        catalogue_(std::move(catalogue)),
        worker_(std::make_unique<Worker>()) {}
  Result<Imported> Keep(BrokerClient::Imported imported, const std::string& source_digest);
  std::string ImportNote(const std::string& source_digest) const;
  Result<BrokerClient*> Broker();

  Loop& loop_;
  const Options options_;
  store::BlobStore
      blobs_;         // its calls are one system call each on a folder, or on a Writer of the caller's own
  std::mutex mutex_;  // guards catalogue_ and manifests_
  store::Catalogue catalogue_;
  std::map<std::string, std::shared_ptr<const store::ChunkManifest>> manifests_;
  std::unique_ptr<BrokerClient> broker_;  // loop's thread
  std::unique_ptr<Worker> worker_;        // ends before what it uses
};

}  // namespace slipway::scheduler
