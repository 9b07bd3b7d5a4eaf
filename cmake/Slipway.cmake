# SPDX-License-Identifier: Apache-2.0
# What every folder needs to say is its name and its dependencies; flags, tests and output places are the same
# everywhere and live here.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)  # statement expressions: TRY()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # The same source in two checkouts is one entry: paths are taken relative to the top of the tree.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

include(CheckPIESupported)
check_pie_supported()  # CMAKE_POSITION_INDEPENDENT_CODE alone compiles for it and does not link it

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(slipway_flags INTERFACE)
target_include_directories(slipway_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(slipway_flags INTERFACE _GNU_SOURCE)
target_compile_options(slipway_flags INTERFACE
  # GCC 12 sees overlapping copies in std::string's operator+ at -O2 that are not there (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  -Wall -Wextra -Wno-missing-field-initializers -fstack-protector-strong -fno-omit-frame-pointer
  # (sections:) what a program does not use of the libraries is not in it: a third of stepd, which is resident once a step.
  $<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections>
  $<$<BOOL:${SLIPWAY_WERROR}>:-Werror>)
target_link_options(slipway_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
  $<$<CONFIG:Release,RelWithDebInfo>:-Wl,--gc-sections>)
if(SLIPWAY_SANITIZE)
  target_compile_options(slipway_flags INTERFACE -fsanitize=${SLIPWAY_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(slipway_flags INTERFACE -fsanitize=${SLIPWAY_SANITIZE})
endif()
if(SLIPWAY_FUZZ)
  target_compile_options(slipway_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
  target_link_options(slipway_flags INTERFACE -fsanitize=address,undefined)
endif()

find_package(GTest REQUIRED)
include(StaticGrpc)

# slipway_library(NAME [DEPS target…] [EXCLUDE file…] [TEST_DEPS target…])
# A static library of all *.cc here (not *_test.cc, not main.cc), and one test program of all *_test.cc (label
# unit; tests that need root skip themselves and say so). The target is named like the folder: base/os → base_os.
function(slipway_library name)
  slipway_give_static_face()
  cmake_parse_arguments(arg "" "" "DEPS;EXCLUDE;TEST_DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cc *.c)
  file(GLOB tests CONFIGURE_DEPENDS *_test.cc)
  file(GLOB mains CONFIGURE_DEPENDS *main.cc)
  list(REMOVE_ITEM sources ${tests} ${mains})
  foreach(file ${arg_EXCLUDE})
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC slipway_flags ${arg_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE slipway_flags ${arg_DEPS})
  endif()
  if(tests)
    slipway_gtest(${name}_test LABEL unit SOURCES ${tests} DEPS ${name} ${arg_TEST_DEPS})
  endif()
endfunction()

# slipway_gtest(NAME LABEL l SOURCES f… DEPS t… [TIMEOUT s]): one GoogleTest program, one ctest entry.
function(slipway_gtest name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} slipway_flags GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
endfunction()

# slipway_program(NAME SOURCES f… DEPS t… [DESTINATION dir]): a program in build/<preset>/bin. The target `programs` is
# all of them, without the tests.
add_custom_target(programs)
function(slipway_program name)
  cmake_parse_arguments(arg "" "DESTINATION" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} slipway_flags)
  add_dependencies(programs ${name})
  if(arg_DESTINATION)
    install(TARGETS ${name} DESTINATION ${arg_DESTINATION})
  endif()
endfunction()

# slipway_fuzzer(NAME SOURCE f… DEPS t…): a libFuzzer program, part of the target `fuzzers`, and a ctest entry (label
# fuzz) that runs its corpus (tests/fuzz/corpus/NAME) and a short time beyond it, from a fixed seed: what CI says
# must not be luck. tools/fuzz looks further, from a new seed each time. Only with SLIPWAY_FUZZ.
function(slipway_fuzzer name)
  cmake_parse_arguments(arg "" "" "SOURCE;DEPS" ${ARGN})
  if(NOT SLIPWAY_FUZZ)
    return()
  endif()
  add_executable(${name} ${arg_SOURCE})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} slipway_flags -fsanitize=fuzzer)
  add_dependencies(fuzzers ${name})
  add_test(NAME ${name} COMMAND ${name} -seed=1 -max_total_time=10 -timeout=10 -rss_limit_mb=2048
           ${CMAKE_CURRENT_BINARY_DIR}/${name}_corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${name}_corpus)
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 60)
endfunction()
