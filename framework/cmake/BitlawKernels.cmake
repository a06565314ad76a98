# bitlaw_kernels(<target> <folder>/<name>.cc OPTIONS <compile option>...)
#
# Compiles <name>.cc into <target> once for each instruction set, each time with BITLAW_ISA as isa_plain, isa_avx2 or
# isa_avx512, the namespace for what it defines. <name>_choice.cc beside it takes the best one when the program runs
# (bitlaw/sdk/machine/instruction_set.h); it sees BITLAW_X86_KERNELS where there is more than isa_plain.
function(bitlaw_kernels target source)
  cmake_parse_arguments(ARG "" "" "OPTIONS" ${ARGN})
  string(REGEX REPLACE "\\.cc$" "_choice.cc" choice ${source})
  target_sources(${target} PRIVATE ${choice})
  set_source_files_properties(${choice} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  set(flags_plain "")
  set(flags_avx2 -march=x86-64-v3)
  set(flags_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  set(sets plain)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND sets avx2 avx512)
    set_property(SOURCE ${choice} APPEND PROPERTY COMPILE_DEFINITIONS BITLAW_X86_KERNELS)
  endif()
  foreach(isa IN LISTS sets)
    get_filename_component(name ${source} NAME_WE)
    set(library ${target}_${name}_${isa})
    add_library(${library} OBJECT ${source})
    target_include_directories(${library} PRIVATE $<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>)
    target_compile_definitions(${library} PRIVATE BITLAW_ISA=isa_${isa})
    # A value that only wide registers hold is passed between functions of one file alone: its ABI is nobody's concern.
    target_compile_options(${library} PRIVATE -O3 -Wno-psabi ${ARG_OPTIONS} ${flags_${isa}})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${library}>)
  endforeach()
endfunction()
