#pragma once

#include "records/table.h"
#include "resolve/resolved_study.h"
#include "spec/decoder.h"

namespace bitlaw {

/// Compares what the study's laws and its `fit:` name with the observations as they will be (PlannedObservations()).
/// Every name that is missing, holds texts where a number is needed, or has no value in any planned trial is a fault.
void CheckLawNeeds(const ResolvedStudy& study, const Table& planned, Faults& faults);

}  // namespace bitlaw
