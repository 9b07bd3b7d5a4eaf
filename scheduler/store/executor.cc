// SPDX-License-Identifier: Apache-2.0
// One queue of things to do, in order, with marks where a commit has to come first.
#include "scheduler/store/executor.h"

#include <algorithm>
#include <optional>

#include "scheduler/core/apply.h"

namespace slipway::scheduler {

namespace {

// Small enough that a commit that waits for a read meanwhile waits for a millisecond or two.
constexpr std::size_t kRecordsAtOnceBeside = 250;

Result<Snapshot> NextSnapshot(Store& store, Revision until) {
  Replayed replayed = TRY(Replay(store, until, kRecordsAtOnceBeside));
  return Snapshot{replayed.revision, EncodeState(replayed.state)};
}

}  // namespace

struct Executor::Core {
  struct Item {
    std::uint64_t after = 0;  // the number of the append that has to be durable
    std::function<void()> perform;
  };

  Store& store;
  EffectSink& sink;
  Epoch epoch;
  Revision revision;
  std::uint64_t appended = 0, committed = 0;  // batches
  std::deque<Item> waiting;
  Revision durable;  // of the last record that is
  bool failed = false, gone = false, draining = false, making_snapshot = false;

  Core(Store& s, EffectSink& k, Epoch e, Revision r) : store(s), sink(k), epoch(e), revision(r), durable(r) {}

  void Then(std::function<void()> perform) {
    if (failed) return;
    waiting.push_back({appended, std::move(perform)});
    Drain();
  }

  void Drain() {
    if (draining) return;  // what is performed may hand in more; it is next in the same loop
    draining = true;
    while (!waiting.empty() && !failed && !gone && waiting.front().after <= committed) {
      std::function<void()> perform = std::move(waiting.front().perform);
      waiting.pop_front();
      perform();
    }
    draining = false;
  }

  static void Save(const std::shared_ptr<Core>& core, Result<Snapshot> made) {
    if (!made) {
      core->making_snapshot = false;
      return core->sink.OnNoSnapshot(made.error());
    }
    core->store.SaveSnapshot(std::move(*made), core->epoch, [weak = std::weak_ptr(core)](Result<> result) {
      std::shared_ptr<Core> mine = weak.lock();
      if (!mine) return;
      mine->making_snapshot = false;
      if (!result) mine->Stop(result.error());
    });
  }

  void Stop(const Error& error) {
    if (failed || gone) return;
    failed = true;
    waiting.clear();
    sink.OnStoreFailed(error);
  }
};

Executor::Executor(Store& store, EffectSink& sink, Epoch epoch, Revision revision)
    : core_(std::make_shared<Core>(store, sink, epoch, revision)) {}

Executor::~Executor() { core_->gone = true; }

Revision Executor::revision() const { return core_->revision; }
bool Executor::idle() const { return core_->waiting.empty() && core_->appended == core_->committed; }
bool Executor::failed() const { return core_->failed; }

void Executor::AfterCommit(std::function<void()> task) { core_->Then(std::move(task)); }

void Executor::Run(std::vector<Effect> effects) {
  std::shared_ptr<Core> core = core_;  // a sink may end us from within
  for (Effect& effect : effects) {
    if (core->failed || core->gone) return;
    if (auto* persist = std::get_if<Persist>(&effect)) {
      std::vector<std::string> records;
      for (const Event& event : persist->events) records.push_back(EncodeEvent(event));
      core->revision += records.size();
      std::uint64_t number = ++core->appended;
      Revision expected = core->revision;
      auto done = [weak = std::weak_ptr(core), number, expected](Result<Revision> result) {
        std::shared_ptr<Core> mine = weak.lock();
        if (!mine || mine->gone || mine->failed) return;
        if (!result) return mine->Stop(result.error());
        CHECK(*result == expected && number == mine->committed + 1);
        mine->committed = number;
        mine->durable = expected;
        mine->Drain();
      };
      // Queued before Append: a store may answer from within the call.
      core->waiting.push_back({number, [raw = core.get(), events = std::move(persist->events)] {
                                 raw->sink.OnCommitted(events);
                               }});
      core->store.Append(std::move(records), core->epoch, std::move(done));
    } else if (auto* timer = std::get_if<StartTimer>(&effect)) {
      core->sink.OnTimer(timer->at);
    } else if (auto* send = std::get_if<Send>(&effect)) {
      core->Then([raw = core.get(), message = std::move(*send)] { raw->sink.OnSend(message); });
    } else if (auto* reply = std::get_if<Reply>(&effect)) {
      core->Then([raw = core.get(), answer = std::move(*reply)] { raw->sink.OnReply(answer); });
    }
  }
}

void Executor::MakeSnapshot(const Store::Post& elsewhere, Store::Post post) {
  if (core_->failed || core_->making_snapshot) return;
  core_->making_snapshot = true;
  elsewhere(
      [store = &core_->store, until = core_->durable, weak = std::weak_ptr(core_), post = std::move(post)] {
        auto made = std::make_shared<Result<Snapshot>>(NextSnapshot(*store, until));
        post([weak, made] {
          std::shared_ptr<Core> core = weak.lock();
          if (core && !core->gone && !core->failed) Core::Save(core, std::move(*made));
        });
      });
}

Result<Replayed> Replay(Store& store, Revision until, std::size_t records_at_once) {
  Replayed replayed;
  std::optional<Snapshot> snapshot = TRY(store.LoadSnapshot());
  if (snapshot) {
    replayed.state =
        TRY_CONTEXT(DecodeState(snapshot->bytes), Cat("snapshot at revision ", snapshot->revision));
    replayed.revision = snapshot->revision;
  }
  for (;;) {
    std::size_t wanted = std::min<Revision>(records_at_once, until - replayed.revision);
    std::vector<StoredRecord> records = TRY(store.ReadAfter(replayed.revision, wanted));
    for (const StoredRecord& record : records) {
      if (record.revision != replayed.revision + 1) {
        return Fail(Code::kDataLoss, "the log goes from revision ", replayed.revision, " to ",
                    record.revision);
      }
      Apply(replayed.state, TRY_CONTEXT(DecodeEvent(record.bytes), Cat("record ", record.revision)));
      ++replayed.revision;
      ++replayed.records;
    }
    if (records.size() < records_at_once) return replayed;
  }
}

}  // namespace slipway::scheduler
