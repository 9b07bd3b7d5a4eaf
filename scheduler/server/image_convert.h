// SPDX-License-Identifier: Apache-2.0
// Images between the protocol and the desk. Names of accounts and groups are the controller host's.
#pragma once

#include <string>

#include "scheduler/server/image_desk.h"
#include "slipway/v1/catalogue.pb.h"
#include "slipway/v1/image.pb.h"

namespace slipway::scheduler {

struct Audience {
  store::Visibility visibility = store::Visibility::kPublic;
  std::uint32_t group = 0;
};
// "public" or "", "private", "group:NAME". kInvalidArgument; kNotFound when there is no such group.
Result<Audience> AudienceOf(const std::string& text);

// "user:NAME" to "user:UID", "project:NAME" as it is. kInvalidArgument, kNotFound.
Result<std::string> SubjectOf(const std::string& text);
std::string SubjectText(const std::string& subject);  // and back

// kInvalidArgument: no such name could be.
Result<std::string> ProjectNameOf(const std::string& text);
// People are "user:NAME" and "group:NAME" of the controller's host; kInvalidArgument or kNotFound says who
// not.
Result<store::ProjectChange> ChangeOf(const v1::ChangeProjectRequest& in);
void ToProto(const store::Project& in, v1::Project* out);

// kInvalidArgument or kNotFound names what is wrong. Who makes it is filled in by the caller.
Result<store::PolicyRule> RuleOf(const v1::PolicyRule& in);
void ToProto(const store::PolicyRule& in, v1::PolicyRule* out);
void ToProto(const ImageDesk::Seen& in, v1::Image* out);
void ToProto(const content::Content& in, v1::ImageDetails* out);
void ToProto(const store::Finding& in, std::size_t left, v1::VerifyFinding* out);

}  // namespace slipway::scheduler
