// Image files to predict.
#include "cli/tasks/img_clf_inputs.h"

#include <fmt/format.h>

#include "perceive/core/log.h"

namespace perceive::cli {

ImageInputs::ImageInputs(const std::vector<std::string>& files_and_folders, const data::ImageFilesOptions& options,
                         const data::LoaderOptions& loader)
    : loader_(loader) {
  auto list = data::list_images(files_and_folders);
  if (list.skipped > 0) core::log_info(fmt::format("{} files that are no PNG or JPEG were left out", list.skipped));
  files_ = std::make_shared<data::ImageFiles>(std::move(list.files), options);
}

std::unique_ptr<data::Loader> ImageInputs::predict() const {
  return std::make_unique<data::Loader>(files_, loader_);
}

}  // namespace perceive::cli
