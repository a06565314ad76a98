#include "cli/records/records_parts.h"
#include "quantize/quantized_file.h"

namespace bitlaw {

std::string DigestOfCodesFile(const std::filesystem::path& file) { return OpenQuantized(file).model.codes_digest; }

}  // namespace bitlaw
