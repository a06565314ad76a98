# Where things are installed, and how what is installed finds its neighbours wherever the prefix is moved.
#
#   bin/bitlaw                    the program's start; finds the program, plugins and configs relative to itself
#   lib/bitlaw/bitlaw_program.so  the program
#   <libdir>/libbitlaw_*.so       libraries
#   lib/bitlaw/plugins/*.so       plugins (always lib: the program looks there)
#   include/bitlaw/               headers
#   share/bitlaw/configs/         tasks, laws, studies
#   share/bitlaw/examples/        models and texts of the studies, what `plugins new` writes
#   share/doc/bitlaw/             README.md and the book; share/man/man1 and completions: framework/CMakeLists.txt
#   <libdir>/cmake/bitlaw/        find_package(bitlaw)
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(BITLAW_PLUGIN_DIR ${CMAKE_BINARY_DIR}/lib/bitlaw/plugins)
set(BITLAW_INSTALL_PLUGIN_DIR lib/bitlaw/plugins)
set(BITLAW_INSTALL_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/bitlaw)
file(RELATIVE_PATH BITLAW_BIN_TO_LIB /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${CMAKE_INSTALL_LIBDIR})
file(RELATIVE_PATH BITLAW_PLUGIN_TO_LIB /prefix/${BITLAW_INSTALL_PLUGIN_DIR} /prefix/${CMAKE_INSTALL_LIBDIR})
set(CMAKE_INSTALL_RPATH "$ORIGIN;$ORIGIN/${BITLAW_BIN_TO_LIB}")
file(RELATIVE_PATH BITLAW_PROGRAM_TO_LIB /prefix/lib/bitlaw /prefix/${CMAKE_INSTALL_LIBDIR})
set(BITLAW_PROGRAM_INSTALL_RPATH "$ORIGIN/${BITLAW_PROGRAM_TO_LIB}")
set(BITLAW_PLUGIN_INSTALL_RPATH "$ORIGIN/${BITLAW_PLUGIN_TO_LIB}")
# What is installed is linked with its final search path at once, for the build tree has the installed layout: a path that
# is to be changed later gets a ':' behind it from CMake, and the loader reads the empty entry as the working directory.
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
if(NOT CMAKE_INSTALL_LIBDIR STREQUAL "lib")  # The build tree's is.
  list(APPEND CMAKE_INSTALL_RPATH "$ORIGIN/../lib")
  list(APPEND BITLAW_PROGRAM_INSTALL_RPATH "$ORIGIN/..")
  list(APPEND BITLAW_PLUGIN_INSTALL_RPATH "$ORIGIN/../..")
endif()
# Folders of libraries outside the project (a libtorch of one's own) stay in the search path.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

# The pages, in the places that their links expect of each other: configs and examples are those of share/bitlaw.
function(bitlaw_install_book)
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/docs)
    return()
  endif()
  set(book share/doc/bitlaw)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs DESTINATION ${book})
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/plugins DESTINATION ${book} FILES_MATCHING PATTERN README.md)
  install(FILES ${CMAKE_SOURCE_DIR}/tests/gpu/README.md DESTINATION ${book}/tests/gpu)
  foreach(example knowledge-lab quickstart smollm2)
    install(FILES ${CMAKE_SOURCE_DIR}/examples/${example}/README.md DESTINATION share/bitlaw/examples/${example})
  endforeach()
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples/out-of-tree-plugin DESTINATION share/bitlaw/examples)
  foreach(shared configs examples)
    install(CODE "file(CREATE_LINK ../../bitlaw/${shared} \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${book}/${shared}\" SYMBOLIC)")
  endforeach()
  foreach(linked docs plugins)  # Where pages among the configs and examples look for them.
    install(CODE "file(CREATE_LINK ../doc/bitlaw/${linked} \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/bitlaw/${linked}\" SYMBOLIC)")
  endforeach()
endfunction()

# The package files. Called once, after every target exists.
function(bitlaw_install_package)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/framework/include/bitlaw DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  if(EXISTS ${CMAKE_SOURCE_DIR}/configs)
    install(DIRECTORY ${CMAKE_SOURCE_DIR}/configs DESTINATION share/bitlaw)
    # The models and texts that the installed studies name by paths relative to themselves.
    install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples/knowledge-lab/models ${CMAKE_SOURCE_DIR}/examples/knowledge-lab/text
            DESTINATION share/bitlaw/examples/knowledge-lab)
    install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples/plugins DESTINATION share/bitlaw/examples)
    install(PROGRAMS ${CMAKE_SOURCE_DIR}/examples/smollm2/get.sh DESTINATION share/bitlaw/examples/smollm2)
  endif()
  install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md DESTINATION share/doc/bitlaw)
  bitlaw_install_book()
  foreach(component core tensor)
    if(TARGET bitlaw_${component})
      install(TARGETS bitlaw_${component} EXPORT bitlaw-${component} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
      install(EXPORT bitlaw-${component} NAMESPACE bitlaw:: FILE bitlaw-${component}.cmake
              DESTINATION ${BITLAW_INSTALL_CMAKE_DIR})
    endif()
  endforeach()
  # Those of find_package(Torch) are asked for anew where the package is used.
  foreach(part INCLUDES LIBRARIES OPTIONS)
    set(BITLAW_TORCH_CONFIG_${part} "")
    if(BITLAW_TORCH)
      set(BITLAW_TORCH_CONFIG_${part} "${BITLAW_TORCH_${part}}")
    endif()
  endforeach()
  configure_package_config_file(
    ${CMAKE_SOURCE_DIR}/framework/cmake/bitlaw-config.cmake.in ${CMAKE_BINARY_DIR}/bitlaw-config.cmake
    INSTALL_DESTINATION ${BITLAW_INSTALL_CMAKE_DIR})
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/bitlaw-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/bitlaw-config.cmake ${CMAKE_BINARY_DIR}/bitlaw-config-version.cmake
                ${CMAKE_SOURCE_DIR}/framework/cmake/BitlawPlugin.cmake
          DESTINATION ${BITLAW_INSTALL_CMAKE_DIR})
endfunction()
