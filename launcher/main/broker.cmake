# SPDX-License-Identifier: Apache-2.0
slipway_program(slipway-broker SOURCES broker.cc DEPS launcher_broker launcher_container base_log DESTINATION libexec/slipway)
