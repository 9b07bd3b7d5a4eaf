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

Result<std::vector<UniqueFd>> HolderClient::Ask(HolderFrame kind, const std::string& key,
                                                const std::vector<int>& fds) {
  TRY_CONTEXT(SendMessage(socket_.get(), EncodeFrame(kind, HolderKey{key}), fds), "slipway-holder");
  Message message = TRY_CONTEXT(ReceiveMessage(socket_.get()), "slipway-holder");
  auto answer = TRY(SplitFrame<HolderFrame>(message.bytes));
  if (answer.kind == HolderFrame::kKept) return std::move(message.fds);
  return Fail(Code::kNotFound, "slipway-holder: ", TRY(Decode<std::string>(answer.payload, "holder answer")));
}

Result<> HolderClient::Put(const std::string& key, const std::vector<int>& fds) {
  TRY(Ask(HolderFrame::kPut, key, fds));
  return {};
}
Result<std::vector<UniqueFd>> HolderClient::Get(const std::string& key) {
  return Ask(HolderFrame::kGet, key, {});
}
Result<> HolderClient::Drop(const std::string& key) {
  TRY(Ask(HolderFrame::kDrop, key, {}));
  return {};
}

}  // namespace slipway
