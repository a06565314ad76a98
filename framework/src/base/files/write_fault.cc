#include "base/files/write_fault.h"

#include <cerrno>
#include <cstring>

namespace bitlaw {

std::string WriteFaultText(int reason) {
  const std::string text = std::string(std::strerror(reason)) + ".";
  if (reason != ENOSPC && reason != EDQUOT) return text;
  return text + " Make room there and begin again: what was written whole stays.";
}

}  // namespace bitlaw
