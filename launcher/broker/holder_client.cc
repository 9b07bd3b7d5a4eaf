// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>

#include "base/os/socket.h"
#include "launcher/broker/holder.h"

namespace slipway {

Result<HolderClient> HolderClient::Connect(const std::string& socket) {
  HolderClient client;
  client.socket_ = TRY_CONTEXT(ConnectUnix(socket, SOCK_SEQPACKET), "slipway-holder does not run");
  return client;
}

Result<HolderClient::Reply> HolderClient::Ask(const std::string& frame, const std::vector<int>& fds,
                                              HolderFrame wanted) {
  TRY_CONTEXT(SendMessage(socket_.get(), frame, fds), "slipway-holder");
  Message message = TRY_CONTEXT(ReceiveMessage(socket_.get()), "slipway-holder");
  auto answer = TRY(SplitFrame<HolderFrame>(message.bytes));
  if (answer.kind == HolderFrame::kRefused) {
    return Fail(Code::kNotFound,
                "slipway-holder: ", TRY(Decode<std::string>(answer.payload, "holder answer")));
  }
  if (answer.kind != wanted) return Fail(Code::kInternal, "slipway-holder: unexpected answer");
  return Reply{answer.kind, std::string(answer.payload), std::move(message.fds)};
}

Result<> HolderClient::Put(const std::string& key, const std::vector<int>& fds) {
  TRY(Ask(EncodeFrame(HolderFrame::kPut, HolderKey{key}), fds, HolderFrame::kKept));
  return {};
}
Result<std::vector<UniqueFd>> HolderClient::Get(const std::string& key) {
  Reply reply = TRY(Ask(EncodeFrame(HolderFrame::kGet, HolderKey{key}), {}, HolderFrame::kKept));
  return std::move(reply.fds);
}
Result<> HolderClient::Drop(const std::string& key) {
  TRY(Ask(EncodeFrame(HolderFrame::kDrop, HolderKey{key}), {}, HolderFrame::kKept));
  return {};
}

}  // namespace slipway
