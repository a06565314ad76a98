# bitlaw_device_code(<target> <file>.cu <name>)
#
# Gives <target> the text of <file>.cu as `inline constexpr char <name>[]` in the header "<file>_source.h", for DeviceCode
# (bitlaw/sdk/machine/device_code.h), which compiles it where the program runs.
function(bitlaw_device_code target file name)
  get_filename_component(stem ${file} NAME_WE)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/device_code)
  get_filename_component(source ${file} ABSOLUTE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(READ ${source} text)
  file(CONFIGURE OUTPUT ${folder}/${stem}_source.h @ONLY
       CONTENT "// Made from ${file}.\n#pragma once\n\ninline constexpr char ${name}[] = R\"device(${text})device\";\n")
  target_include_directories(${target} PRIVATE ${folder})
endfunction()
