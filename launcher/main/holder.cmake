# SPDX-License-Identifier: Apache-2.0
slipway_program(slipway-holder SOURCES holder.cc DEPS launcher_broker base_log DESTINATION libexec/slipway)
