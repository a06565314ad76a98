# cmake -DSOURCE_DIR=... -DOUTPUT=... -P Revision.cmake: writes a header with the revision of the sources, and touches it
# only when that changed. Without git, or outside of a clone, the revision is empty.
cmake_minimum_required(VERSION 3.25)
find_program(GIT git)
set(revision "")
if(GIT)
  execute_process(COMMAND ${GIT} --no-optional-locks -C ${SOURCE_DIR} describe --always --dirty --abbrev=40 --exclude=*
                  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define BITLAW_REVISION \"@revision@\"\n" @ONLY)
