# What installation promises: a prefix that works, that a stranger's plugin builds against, and that can be moved.
cmake_minimum_required(VERSION 3.25)
set(first ${WORK_DIR}/first)
set(moved ${WORK_DIR}/moved)
set(example ${WORK_DIR}/example)
file(REMOVE_RECURSE ${WORK_DIR})
file(MAKE_DIRECTORY ${WORK_DIR})
unset(ENV{LD_LIBRARY_PATH})
unset(ENV{BITLAW_PLUGIN_PATH})

# run(<variable> <exit code> <command>...): the command's two outputs; stops the test on another exit code.
function(run variable expected)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK_DIR} RESULT_VARIABLE code OUTPUT_VARIABLE out
                  ERROR_VARIABLE out)
  if(NOT code STREQUAL expected)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${code} instead of ${expected}:\n${out}")
  endif()
  set(${variable} "${out}" PARENT_SCOPE)
endfunction()

function(expect_contains text wanted)
  string(FIND "${text}" "${wanted}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "expected '${wanted}' in:\n${text}")
  endif()
endfunction()

# The loader reads an empty or relative entry of a search path as the working directory, before any check of ours.
function(expect_safe_search_path binary)
  run(dynamic 0 ${READELF} -d ${binary})
  string(REGEX MATCHALL "\\(R(UN)?PATH\\)[^\n]*" entries "${dynamic}")
  foreach(entry IN LISTS entries)
    string(REGEX REPLACE ".*: \\[(.*)\\].*" "\\1" path "${entry}")
    string(REPLACE "\${ORIGIN}" "/origin" path "${path}")
    string(REPLACE "\$ORIGIN" "/origin" path "${path}")
    # Every part begins with '/' and there is one between any two colons.
    if(NOT path MATCHES "^/[^:]*(:/[^:]*)*$")
      message(FATAL_ERROR "${binary} searches the working directory: [${path}]")
    endif()
  endforeach()
endfunction()

# 0. Every program, library, plugin and test of the build tree.
file(GLOB_RECURSE libraries ${BUILD_DIR}/*.so ${BUILD_DIR}/*.so.*)
file(GLOB programs ${BUILD_DIR}/bin/*)
list(FILTER libraries EXCLUDE REGEX "${WORK_DIR}/")
if(NOT libraries OR NOT programs)
  message(FATAL_ERROR "nothing is built in ${BUILD_DIR}")
endif()
foreach(binary IN LISTS libraries programs)
  file(READ ${binary} magic LIMIT 4 HEX)
  if(magic STREQUAL "7f454c46")  # Tests of the plugin host have libraries that are none.
    expect_safe_search_path(${binary})
  endif()
endforeach()

# 1. Install. Every plugin of the build is installed and loads; nothing in the prefix searches the build tree.
run(out 0 ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${first})
file(GLOB built RELATIVE ${BUILD_DIR}/lib/bitlaw/plugins ${BUILD_DIR}/lib/bitlaw/plugins/*.so)
file(GLOB installed RELATIVE ${first}/lib/bitlaw/plugins ${first}/lib/bitlaw/plugins/*.so)
if(NOT built STREQUAL installed OR built STREQUAL "")
  message(FATAL_ERROR "built plugins: ${built}\ninstalled plugins: ${installed}")
endif()
run(first_list 0 ${first}/bin/bitlaw plugins list)
expect_contains("${first_list}" "law/formula")
run(out 0 ${first}/bin/bitlaw --version)
file(GLOB_RECURSE binaries ${first}/bin/* ${first}/*.so ${first}/*.so.*)
foreach(binary IN LISTS binaries)
  expect_safe_search_path(${binary})
  run(dynamic 0 ${READELF} -d ${binary})
  string(FIND "${dynamic}" "${BUILD_DIR}" at)
  if(NOT at EQUAL -1)
    message(FATAL_ERROR "${binary} searches the build tree:\n${dynamic}")
  endif()
endforeach()
set(usage "")
if(NOT SANITIZE)  # There the build runs no program to print them.
  set(usage share/man/man1/bitlaw.1 share/bash-completion/completions/bitlaw share/zsh/site-functions/_bitlaw
            share/fish/vendor_completions.d/bitlaw.fish)
endif()
foreach(path include/bitlaw/api/plugin.h share/bitlaw/configs/laws/stratified_power.yaml share/doc/bitlaw/LICENSE
             share/doc/bitlaw/README.md share/doc/bitlaw/docs/README.md share/doc/bitlaw/docs/reference/study.md
             share/doc/bitlaw/plugins/quantizers/gptq/README.md ${usage})
  if(NOT EXISTS ${first}/${path})
    message(FATAL_ERROR "${path} is not installed")
  endif()
endforeach()

# The installed pages find each other, and the man page is one.
run(out 0 sh ${SOURCE_DIR}/tests/e2e/installed_links.sh ${first}/share/doc/bitlaw)
expect_contains("${out}" "every link is there")
if(NOT SANITIZE)
  file(READ ${first}/share/man/man1/bitlaw.1 manual)
  expect_contains("${manual}" ".TH BITLAW 1")
endif()

# A build with sanitizers takes plugins with the same ones only.
# GCC 12 reports -Wrestrict on plain string assignments (GCC bug 105651), as in the main build.
set(flags "-Wall -Wextra -Werror -Wno-restrict")
if(SANITIZE)
  string(APPEND flags " -fsanitize=${SANITIZE}")
endif()

# 2. A stranger's project finds the package, builds with every warning an error, and passes its own test.
run(out 0 ${CMAKE_COMMAND} -S ${SOURCE_DIR}/examples/out-of-tree-plugin -B ${example} -G ${GENERATOR}
    -DCMAKE_PREFIX_PATH=${first} -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
    -DCMAKE_BUILD_TYPE=${BUILD_TYPE} "-DCMAKE_CXX_FLAGS=${flags}")
run(out 0 ${CMAKE_COMMAND} --build ${example})
run(out 0 ${example}/round_off_law_test)
expect_safe_search_path(${example}/round_off_law_test)
expect_safe_search_path(${example}/round_off_law.so)
set(plugin ${example}/round_off_law.so)
run(out 0 ${first}/bin/bitlaw --plugin ${plugin} plugins list)
expect_contains("${out}" "law/round_off")
expect_contains("${out}" "example.round_off_law 1.0.0")

# 3. The package says what it lacks.
file(WRITE ${WORK_DIR}/asks/CMakeLists.txt
  "cmake_minimum_required(VERSION 3.25)\nproject(asks LANGUAGES CXX)\nfind_package(bitlaw REQUIRED COMPONENTS tensor)\n"
  "message(STATUS \"links \${TORCH_LIBRARIES}\")\nget_target_property(links bitlaw::tensor INTERFACE_LINK_LIBRARIES)\n"
  "message(STATUS \"tensor needs \${links}\")\n")
if(TENSOR)
  run(out 0 ${CMAKE_COMMAND} -S ${WORK_DIR}/asks -B ${WORK_DIR}/asks/build -DCMAKE_PREFIX_PATH=${first})
  expect_contains("${out}" "tensor needs bitlaw::core")
else()
  run(out 1 ${CMAKE_COMMAND} -S ${WORK_DIR}/asks -B ${WORK_DIR}/asks/build -DCMAKE_PREFIX_PATH=${first})
  expect_contains("${out}" "This bitlaw has no component 'tensor'")
endif()

# 4. The prefix is moved; the plugin, installed into it, is found without being named.
file(RENAME ${first} ${moved})
run(moved_list 0 ${moved}/bin/bitlaw plugins list)
if(NOT moved_list STREQUAL first_list)
  message(FATAL_ERROR "before the move:\n${first_list}\nafter:\n${moved_list}")
endif()
run(out 0 ${CMAKE_COMMAND} --install ${example} --prefix ${moved})
expect_safe_search_path(${moved}/lib/bitlaw/plugins/round_off_law.so)
run(out 0 ${moved}/bin/bitlaw plugins describe law/round_off)
expect_contains("${out}" "law/round_off: Bits and group size act through the round-off noise of a weight.")
expect_contains("${out}" "${moved}/lib/bitlaw/plugins/round_off_law.so")

# Every installed study is in order where its models ship; the one whose model does not says how to get it.
if(TENSOR)
  file(GLOB studies ${moved}/share/bitlaw/configs/studies/lab-*.yaml ${moved}/share/bitlaw/configs/studies/quickstart.yaml)
  list(FILTER studies EXCLUDE REGEX "lab-trajectories")  # Its models are trained, not shipped.
  foreach(study IN LISTS studies)
    run(out 0 ${moved}/bin/bitlaw check ${study})
  endforeach()
  if(NOT EXISTS ${moved}/share/bitlaw/examples/smollm2/get.sh)
    message(FATAL_ERROR "examples/smollm2/get.sh, which smollm2.yaml names, is not installed")
  endif()
endif()

# 5. A library that is no plugin is reported beside the rest, and stops every other verb.
file(WRITE ${moved}/lib/bitlaw/plugins/notes.so "not a library, but long enough to hold the header of one, if it were")
run(out 4 ${moved}/bin/bitlaw plugins list)
expect_contains("${out}" "law/round_off")
expect_contains("${out}" "notes.so: not a shared library: it does not begin with the ELF magic bytes.")
run(out 4 ${moved}/bin/bitlaw plugins describe law/round_off)
expect_contains("${out}" "notes.so: not a shared library: it does not begin with the ELF magic bytes.")
file(REMOVE_RECURSE ${WORK_DIR})
