// SPDX-License-Identifier: Apache-2.0
// The controller's images: what was imported lies in a content-addressed store, what is known of it and
// users' names for it in the catalogue. Only what slipway-import wrote comes in, by way of the broker on this
// host; nothing here looks into an image's bytes.
//
// Any thread but where a line says otherwise. Calls that read whole files are for the worker.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "imagestore/content/mpi_doctor.h"
#include "imagestore/store/blob_store.h"
#include "imagestore/store/catalogue.h"
#include "imagestore/store/collect.h"
#include "imagestore/store/verify.h"
#include "launcher/client/broker_client.h"
#include "scheduler/core/job_spec.h"
#include "scheduler/core/messages.h"
#include "scheduler/server/worker.h"

namespace slipway::scheduler {

class ImageDesk {
 public:
  struct Options {
    std::string state_dir;      // images/, spool/ and catalogue.db are made in it
    std::string broker_socket;  // empty: uploads are refused
    std::uint64_t upload_bytes_max = 0;
    std::uint64_t quota_user = 0, quota_project = 0;  // bytes; 0: no limit
    bool projects_open = true;  // everybody may make names in a project that nobody was given
  };
  static Result<std::unique_ptr<ImageDesk>> Open(Loop& loop, Options options);
  ~ImageDesk();

  const Options& options() const { return options_; }
  Worker& worker() { return *worker_; }
  Worker& verifier() { return *verifier_; }  // nothing waits for it: Verify reads for hours

  // ---- What a reference means: a name, name@sha256:…, or the digest of an image that is here

  // For a job of his: he must see it and the execution policy must let him. What is resolved is not collected
  // for some minutes, until the job that is being submitted is in the state. kNotFound with the nearest
  // names, kPermissionDenied with the rule.
  Result<ImageRef> Resolve(const std::string& reference, const Requester& by);
  // kFailedPrecondition when no MPI of the image can be started here. Who asks for a kind by name
  // (--mpi=pmix) is believed: his program may bring its own. What is wrong then, the step says when it runs.
  Result<> CheckMpi(const ImageRef& image, MpiKind mpi);
  // "glibc 2.36", as at import; empty when it is not known.
  std::string LibcOf(const std::string& digest);
  // By a job that was accepted; written down a little later. Loop's thread.
  void NoteUse(const std::string& digest);

  // ---- Names

  struct Seen {
    store::ImageRecord record;  // its name is empty when a digest was asked for
    store::ImageFacts facts;
  };
  Result<Seen> Show(const std::string& reference, const Requester& by);
  Result<std::vector<Seen>> List(const Requester& by);  // without content
  Result<std::vector<std::string>> NamesOf(const std::string& digest, const Requester& by);
  // Why he may not run it; empty: he may.
  Result<std::string> WhyNotAllowed(const Seen& image, const std::string& reference, const Requester& by);
  Result<Seen> Add(const std::string& name, const std::string& reference, store::Visibility visibility,
                   std::uint32_t group, const Requester& by);
  Result<Seen> Share(const std::string& name, store::Visibility visibility, std::uint32_t group,
                     const Requester& by);
  using InUse = std::function<bool(const std::string&)>;
  // The name; and the bytes, when no other name had them and nobody needs them. Loop's thread.
  Result<> Remove(const std::string& name, const Requester& by, const InUse& in_use);
  Result<> Untag(const std::string& name, const Requester& by);
  struct Past {
    std::string name;
    std::vector<store::Meaning> meanings;
    std::vector<bool> stored;
  };
  Result<Past> History(const std::string& name, const Requester& by);

  // ---- Execution policy

  Result<std::vector<store::PolicyRule>> Rules();
  Result<store::PolicyRule> AddRule(store::PolicyRule rule);
  Result<> RemoveRule(std::int64_t id);

  // ---- Projects

  Result<std::vector<store::Project>> ListProjects();
  // Gives the project to people, or changes who is in it. Administrators, and owners of the project, of whom
  // one must be left.
  Result<store::Project> ChangeProject(const std::string& name, const store::ProjectChange& change,
                                       const Requester& by);
  Result<> OpenProject(const std::string& name);  // nobody's again

  // ---- Upkeep

  struct Usage {
    std::map<std::string, store::Use> subjects;  // "user:UID", "project:NAME"; limits are those that hold
    std::uint64_t bytes = 0, images = 0;         // of the whole store
  };
  // `asking` is in it whether he holds anything or not.
  Result<Usage> TellUsage(std::uint32_t asking);
  Result<> SetLimit(const std::string& subject, std::uint64_t bytes);
  // Loop's thread. With `run`, the garbage has gone from catalogue and store when this returns, and its bytes
  // go in the worker.
  Result<std::vector<store::Garbage>> Collect(store::GarbageRule rule, const InUse& in_use, bool run);
  // Verifier. One finding after the other with how many are left, the catalogue's own last (its digest is
  // empty); ends early when `found` returns false. What is damaged is not handed out any more.
  Result<> Verify(const std::string& digest, const std::function<bool(store::Finding, std::size_t)>& found);

  // ---- Imports

  struct Imported {
    std::string digest, source_digest;
    std::uint64_t bytes = 0;
    bool existed = false;
  };
  // What an upload of this source became, where he may know. kNotFound: never seen, or nothing for him.
  Result<Imported> Find(const std::string& source_digest, const Requester& by);
  Result<> CheckQuota(const Requester& by);  // kResourceExhausted when he has used up what he may
  Result<UniqueFd> NewSpoolFile() const;     // without a name: nothing of it is left behind
  // Loop's thread. `spooled` holds what the user sent, its digest checked; `done` comes on the loop's thread.
  // `as_is`: not packed anew, which the broker allows to what a key of the site signed.
  void Import(UniqueFd spooled, std::string source_digest, bool as_is, Requester by,
              std::function<void(Result<Imported>)> done);

  Result<UniqueFd> OpenBlob(const std::string& digest);
  // Worker: reads the whole image at the first call.
  Result<std::shared_ptr<const store::ChunkManifest>> Manifest(const std::string& digest);

 private:
  struct PendingUse {
    std::uint64_t jobs = 0;
    std::int64_t last_ms = 0;
  };
  // Thousands of submissions a second name the same few images: a finding holds while the catalogue stays as
  // it is, and no longer than a second.
  struct ResolveKey {
    std::string reference;
    std::uint32_t uid = 0;
    bool admin = false;
    auto operator<=>(const ResolveKey&) const = default;
  };
  struct Resolved {
    ImageRef image;
    std::int64_t changes = 0;  // Catalogue::Changes
    std::chrono::steady_clock::time_point until;
  };
  ImageDesk(Loop& loop, Options options, store::BlobStore blobs, store::Catalogue catalogue)
      : loop_(loop),
        options_(std::move(options)),
        blobs_(std::move(blobs)),
        catalogue_(std::move(catalogue)),
        worker_(std::make_unique<Worker>()),
        verifier_(std::make_unique<Worker>()) {}
  // Whoever asks is looked up before, for a directory can be slow and everybody waits for this lock.
  std::unique_lock<std::mutex> LockFor(const Requester& by);
  Result<> TakeOverOldNotes();
  Result<Imported> Keep(BrokerClient::Imported imported, const std::string& source_digest,
                        const Requester& by);
  Result<BrokerClient*> Broker();
  // With mutex_ held:
  Result<Seen> See(const std::string& reference, const Requester& by);
  Result<std::string> WhyNot(const Seen& image, const std::string& reference, const Requester& by);
  store::Viewer ViewerOf(const Requester& by) const;
  Result<> CheckTakeAway(const Seen& image, const Requester& by) const;
  Result<> ReadProjects();
  Result<std::uint64_t> StoredSize(const std::string& digest) const;
  Result<Usage> CountUsage(std::optional<std::uint32_t> asking = {});
  Result<> CheckRoom(const std::string& subject, const std::string& digest, std::uint64_t size);
  Result<> TakeAway(const std::string& digest);
  void Pin(const std::string& digest);
  bool Pinned(const std::string& digest);
  void WriteUses();

  Loop& loop_;
  const Options options_;
  store::BlobStore
      blobs_;         // its calls are one system call each on a folder, or on a Writer of the caller's own
  std::mutex mutex_;  // guards all until broker_
  store::Catalogue catalogue_;
  std::vector<store::PolicyRule> rules_;  // as the catalogue has them
  store::Projects projects_;              // the same
  std::map<std::string, std::shared_ptr<const store::ChunkManifest>> manifests_;
  std::map<std::string, std::vector<content::Mpi>> mpi_of_;
  std::map<std::string, std::string> libc_of_;
  std::map<std::string, std::chrono::steady_clock::time_point> pinned_;
  std::map<ResolveKey, Resolved> resolved_;
  std::map<std::string, PendingUse> uses_;
  MonotonicTime uses_noted_;  // loop's thread, as is the next
  Loop::TimerId uses_timer_;
  std::unique_ptr<BrokerClient> broker_;       // loop's thread
  std::unique_ptr<Worker> worker_, verifier_;  // end before what they use
};

}  // namespace slipway::scheduler
