// tune: searches for a learning rate and a batch size before the first run.
#pragma once

#include "cli/tasks/task.h"
#include "perceive/core/error.h"
#include "perceive/core/value.h"
#include "perceive/train/batch_size.h"
#include "perceive/train/lr_find.h"

namespace perceive::cli {

// By the names of Lightning's tune.
struct TuneOptions {
  train::LrFindOptions lr_find_kwargs;
  train::BatchSizeOptions scale_batch_size_kwargs;
};
template <class Visitor>
void visit(TuneOptions& o, Visitor&& field) {
  field("lr_find_kwargs", o.lr_find_kwargs, "how the search for a learning rate goes");
  field("scale_batch_size_kwargs", o.scale_batch_size_kwargs, "how the search for a batch size goes");
}

// Sets what the arguments name of `options`; returns the rest of them.
std::vector<core::Value> take(std::vector<core::Value> arguments, TuneOptions& options);

// What trainer.auto_scale_batch_size and trainer.auto_lr_find ask for, in this order, the rate with the size found;
// neither: the rate. Prints what to give to fit, and writes tables and curves into <default_root_dir>/<task>/tune/.
core::ExitCode tune(Task& task, const TuneOptions& options);

}  // namespace perceive::cli
