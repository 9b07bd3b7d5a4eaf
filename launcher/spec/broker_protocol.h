// SPDX-License-Identifier: Apache-2.0
// Between slipway-agent (or slipwayd, for imports) and slipway-broker: frames on a SEQPACKET Unix socket. The
// broker takes requests only from the uid that its own configuration names (SO_PEERCRED). Every request
// carries an id that its answer (kDone, kStarted, kSteps, kImported, kImages or kError) repeats; answers may
// overtake one another.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/device_policy.h"
#include "base/result/result.h"
#include "base/wire/wire.h"
#include "launcher/spec/credential.h"
#include "launcher/spec/image_signers.h"

namespace slipway {

inline constexpr std::uint32_t kBrokerProtocolVersion = 6;

enum class BrokerFrame : std::uint16_t {
  // requests
  kHello = 1,  // BrokerHello → kWelcome; first on every connection
  kAdmitImage =
      2,  // ImageRequest + fd of the finished file → kDone once it is the store's (admitting twice is fine)
  kRemoveImage = 3,  // ImageRequest → kDone; kFailedPrecondition while a step uses it
  kListImages = 4,   // PlainRequest → kImages
  kStartStep = 5,    // StartStep + fd of the sealed StepSpec memfd → kStarted
  kKillStep = 6,     // StepRequest → kDone when no process of it is left (also when it never was)
  kEndJob = 7,       // StepRequest (step ignored) → kDone; the job's namespaces are let go
  kListSteps = 8,    // PlainRequest → kSteps
  kImportImage =
      9,  // ImportRequest + fd of a SIF or squashfs that nobody trusts → kImported + fd of our squashfs
  kForgetStep = 10,  // StepRequest → kDone: its report is safe with the controller, the run folder may go
  kFreezeStep =
      11,  // StepRequest → kDone: its ranks get no processor any more; kFailedPrecondition: no cgroup
  kThawStep = 12,    // StepRequest → kDone: they go on
  kRenewLease = 13,  // StepLease → kDone: it may run until then; also when there is no such step any more
  // requests of users, on a socket of their own (exec.sock), one a connection: kExec, or kImportImage as
  // above
  kExec =
      24,  // ExecRequest + fd of the init's control socket → kStarted; the connection then lives as long as
           // the container, and the container's end is its end
  // answers
  kWelcome = 32,   // BrokerWelcome
  kDone = 33,      // Answer
  kError = 34,     // BrokerError
  kStarted = 35,   // Answer: stepd and the container's init run
  kSteps = 36,     // StepList
  kImported = 37,  // ImportedImage + fd, read-only, and a second of what is inside (imagestore/content)
  kImages = 38,    // ImageList
  // events, unasked
  kStepGone = 48,   // StepGone
  kStepStuck = 49,  // StepGone: killed, and its processes do not end (reason: which); again every few seconds
};

struct BrokerHello {
  std::uint32_t version = kBrokerProtocolVersion;
};
void Fields(auto& archive, IsA<BrokerHello> auto& v) { archive(v.version); }

struct BrokerWelcome {
  std::uint32_t version = kBrokerProtocolVersion;
  std::string node;
  std::string run_dir;    // steps/<JOB.ATTEMPT.STEP>/sock below it is where stepd listens
  bool rootless = false;  // everything runs as one user; images by squashfuse
  std::vector<std::string>
      cannot;  // limits this node cannot hold, one plain sentence each ("memory: no cgroup v2 controller")
  // The store: its file system is the agent's to look at; where rootless, sha256:HEX is in it as sha256-HEX.
  std::string image_dir;
};
void Fields(auto& archive, IsA<BrokerWelcome> auto& v) {
  archive(v.version, v.node, v.run_dir, v.rootless, v.cannot, v.image_dir);
}

struct PlainRequest {
  std::uint64_t id = 0;
};
void Fields(auto& archive, IsA<PlainRequest> auto& v) { archive(v.id); }
using Answer = PlainRequest;

struct ImageRequest {
  std::uint64_t id = 0;
  std::string digest;  // "sha256:…" of the whole file
};
void Fields(auto& archive, IsA<ImageRequest> auto& v) { archive(v.id, v.digest); }

struct ImportRequest {
  std::uint64_t id = 0;
  bool as_is =
      false;  // the squashfs that a key of the site signed, not packed anew; refused without a signature
};
void Fields(auto& archive, IsA<ImportRequest> auto& v) { archive(v.id, v.as_is); }

// Devices beside the usual ones that the step's ranks may open. The agent's word: without it they could open
// whatever their user may.
struct StepDevices {
  std::vector<DeviceRule> of_step;  // any rank of it
  // By task here; not empty: each of that many ranks may open only its own and the usual ones.
  std::vector<std::vector<DeviceRule>> of_tasks;
};
void Fields(auto& archive, IsA<DeviceRule> auto& v) { archive(v.type, v.major, v.minor); }
void Fields(auto& archive, IsA<StepDevices> auto& v) { archive(v.of_step, v.of_tasks); }
inline constexpr std::size_t kDeviceTasksMax = 128;  // of StepDevices::of_tasks

// Of the job's own on this node, shared by its steps and gone with it: how much in `tmp` and `shm` of its
// folder. Made with the job's first step that asks. 0: none. Refused where the broker is rootless.
struct JobRoom {
  std::uint64_t tmp_bytes = 0, shm_bytes = 0;
};
void Fields(auto& archive, IsA<JobRoom> auto& v) { archive(v.tmp_bytes, v.shm_bytes); }
inline constexpr const char *kJobTmp = "/tmp", *kJobShm = "/shm";
inline std::string JobFolder(const std::string& run_dir, const StepId& job) {
  return Cat(run_dir, "/jobs/", job.job, ".", job.attempt);
}

struct StartStep {
  std::uint64_t id = 0;
  SignedCredential credential;
  StepDevices devices;
  JobRoom room;
  std::uint64_t lease_boot_ms = 0;  // StepLease's
  bool pmix = false;                // served by the stepd that has libpmix
};
void Fields(auto& archive, IsA<StartStep> auto& v) {
  archive(v.id, v.credential, v.devices, v.room, v.lease_boot_ms, v.pmix);
}

// The step is killed (reason kLeaseOver) at that time on CLOCK_BOOTTIME unless a later one has come by then,
// whether the agent is there or not. 0: no lease.
struct StepLease {
  std::uint64_t id = 0;
  StepId step;
  std::uint64_t boot_ms = 0;
};
void Fields(auto& archive, IsA<StepLease> auto& v) { archive(v.id, v.step, v.boot_ms); }
// Why the broker ended a step, in StepGone.
inline constexpr const char *kTimeIsUp = "TIMEOUT", *kLeaseOver = "LEASE";

struct StepRequest {
  std::uint64_t id = 0;
  StepId step;
};
void Fields(auto& archive, IsA<StepRequest> auto& v) { archive(v.id, v.step); }

// `slipway exec` asks for a container's birth. Who asks is the kernel's word, what runs goes to the init by
// the control socket, and the broker sees neither. kStarted answers with the pid of the container's init.
inline constexpr std::uint32_t kExecProtocolVersion = 3;
struct ExecRequest {
  std::uint32_t version = kExecProtocolVersion;
  std::string digest;          // of an image of the store; empty: the user brings his own in the LaunchSpec
  bool pid_namespace = false;  // as the LaunchSpec will have it
  bool changes_image =
      false;  // a writable layer will lie over it: root's files in it are shown as the user's
};
void Fields(auto& archive, IsA<ExecRequest> auto& v) {
  archive(v.version, v.digest, v.pid_namespace, v.changes_image);
}

struct BrokerError {
  std::uint64_t id = 0;
  std::int32_t code = 0;  // of base/result
  std::string message;

  static BrokerError Of(std::uint64_t id, const Error& error) {
    return {id, static_cast<std::int32_t>(error.code), error.message};
  }
};
void Fields(auto& archive, IsA<BrokerError> auto& v) { archive(v.id, v.code, v.message); }

struct StepRecord {
  StepId step;
  std::uint32_t uid = 0;
  bool running = false;  // false: ended, its run folder still holds the result
};
void Fields(auto& archive, IsA<StepRecord> auto& v) { archive(v.step, v.uid, v.running); }
struct StepList {
  std::uint64_t id = 0;
  std::vector<StepRecord> steps;
};
void Fields(auto& archive, IsA<StepList> auto& v) { archive(v.id, v.steps); }

struct StoredImage {
  std::string digest;
  std::uint64_t bytes = 0;
  std::int64_t used_ms = 0;  // since 1970: when a container was last made of it, or it came
};
void Fields(auto& archive, IsA<StoredImage> auto& v) { archive(v.digest, v.bytes, v.used_ms); }
struct ImageList {
  std::uint64_t id = 0;
  std::vector<StoredImage> images;  // by digest
};
void Fields(auto& archive, IsA<ImageList> auto& v) { archive(v.id, v.images); }

struct ImportedImage {
  std::uint64_t id = 0;
  std::string digest;  // of what will be mounted
  std::uint64_t bytes = 0;
  std::vector<ImageSigner> signers;  // keys of the site whose signature of it was verified
};
void Fields(auto& archive, IsA<ImportedImage> auto& v) { archive(v.id, v.digest, v.bytes, v.signers); }

struct StepGone {
  StepId step;
  std::int32_t stepd_wait_status = 0;
  std::string reason;  // why the broker ended it (time limit, …); empty when it ended by itself
};
void Fields(auto& archive, IsA<StepGone> auto& v) { archive(v.step, v.stepd_wait_status, v.reason); }

}  // namespace slipway
